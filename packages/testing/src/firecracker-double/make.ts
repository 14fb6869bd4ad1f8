import { promises as fs } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { node } from "../environment.ts";

const program = fileURLToPath(new URL("main.ts", import.meta.url));

/** A program that behaves as Firecracker does (main.ts says how far), made in `directory`. */
export async function makeFirecrackerDouble(
  directory: string,
): Promise<{ program: string; setFault: (fault: string) => Promise<void> }> {
  const [path, faultFile] = [join(directory, "firecracker"), join(directory, "fault")];
  await fs.writeFile(path, `#!/bin/sh\nexec ${node} ${program} ${faultFile} "$@"\n`, { mode: 0o755 });
  await fs.writeFile(faultFile, "");
  return { program: path, setFault: (fault) => fs.writeFile(faultFile, fault) };
}
