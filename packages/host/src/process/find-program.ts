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

/** Why `findProgram` has found none. */
export async function absence(title: string, name: string, configured: string | null): Promise<string> {
  const exists =
    configured !== null &&
    (await fs.access(configured).then(
      () => true,
      () => false,
    ));
  return exists
    ? `${title} cannot be used: ${configured} is no file that may be executed`
    : `${title} is not installed (looked for ${configured ?? `${name} on PATH`})`;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await fs.access(path, constants.X_OK);
    return (await fs.stat(path)).isFile();
  } catch {
    return false;
  }
}
