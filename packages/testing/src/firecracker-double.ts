import { promises as fs } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { node } from "./environment.ts";

const program = fileURLToPath(new URL("firecracker/main.ts", import.meta.url));
/** the newest that our driver takes */
const usualVersion = "version:1.15.1";

/** A program `firecracker` in `directory`: the double, with the faults (firecracker/faults.ts) that are set for its next run. */
export async function makeFirecrackerDouble(
  directory: string,
): Promise<{ program: string; setFault: (fault: string) => Promise<void> }> {
  const [path, faultFile] = [join(directory, "firecracker"), join(directory, "fault")];
  const setFault = (fault: string): Promise<void> => fs.writeFile(faultFile, `${fault},${usualVersion}`);
  await fs.writeFile(path, `#!/bin/sh\nFIRECRACKER_DOUBLE_FAULT=$(cat ${faultFile}) exec ${node} ${program} "$@"\n`, {
    mode: 0o755,
  });
  await setFault("");
  return { program: path, setFault };
}
