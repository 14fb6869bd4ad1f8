import { promises as fs } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkout, node } from "./environment.ts";

const program = fileURLToPath(new URL("firecracker/main.ts", import.meta.url));
const jailer = fileURLToPath(new URL("firecracker/jailer.sh", import.meta.url));
/** the newest that our driver takes */
const usualVersion = "version:1.15.1";

/**
 * A program `firecracker` in `directory`: the double, with the faults (firecracker/faults.ts) that are set for its next
 * run; with a double of its jailer beside it where that is wanted.
 */
export async function makeFirecrackerDouble(
  directory: string,
  options: { jailer?: boolean } = {},
): Promise<{ program: string; setFault: (fault: string) => Promise<void> }> {
  const [path, faultFile] = [join(directory, "firecracker"), join(directory, "fault")];
  const setFault = (fault: string): Promise<void> => fs.writeFile(faultFile, `${fault},${usualVersion}`);
  await setFault("");
  const fault = `$(cat /fault 2>/dev/null || cat ${faultFile})`;
  await writeProgram(path, `FIRECRACKER_DOUBLE_FAULT=${fault} exec ${node} ${program} "$@"`);
  if (options.jailer === true) await writeProgram(join(directory, "jailer"), `exec sh ${jailer} ${checkout} "$@"`);
  return { program: path, setFault };
}

async function writeProgram(path: string, command: string): Promise<void> {
  await fs.writeFile(path, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
}
