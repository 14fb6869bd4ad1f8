import { constants, promises as fs } from "node:fs";
import { delimiter, join } from "node:path";

/** The configured program, else the one on PATH; null where there is none. */
export async function findProgram(name: string, configured: string | null): Promise<string | null> {
  const candidates =
    configured === null
      ? (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, name))
      : [configured];
  for (const path of candidates) {
    if (await isExecutable(path)) return path;
  }
  return null;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await fs.access(path, constants.X_OK);
    return (await fs.stat(path)).isFile();
  } catch {
    return false;
  }
}
