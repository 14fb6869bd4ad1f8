import { promises as fs } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkout, compileCache, node } from "./environment.ts";

const program = fileURLToPath(new URL("firecracker/main.ts", import.meta.url));
const jailer = fileURLToPath(new URL("firecracker/jailer.sh", import.meta.url));
export interface FirecrackerDouble {
  program: string;
  /** The faults (firecracker/faults.ts) of its next runs, or only of those that are told this word, such as a VM's bare id. */
  setFault: (fault: string, word?: string) => Promise<void>;
}

/**
 * A program `firecracker` in `directory`: the double; with a double of its jailer beside it where that is wanted. Where
 * VMs are to be paused it wants its vsock bridged (firecracker/serial-bridge.ts).
 */
export async function makeFirecrackerDouble(
  directory: string,
  options: { jailer?: boolean; bridgedVsock?: boolean } = {},
): Promise<FirecrackerDouble> {
  const [path, faultFile] = [join(directory, "firecracker"), join(directory, "fault")];
  const setFault = (fault: string, word?: string): Promise<void> =>
    fs.writeFile(
      word === undefined ? faultFile : `${faultFile}.${word}`,
      [fault, ...(options.bridgedVsock === true ? ["bridged-vsock"] : [])].join(","),
    );
  const lines = [
    ...Object.entries(compileCache).map(([name, value]) => `export ${name}='${value}'`),
    "fault=/fault", // in a jail
    `[ -f "$fault" ] || fault=${faultFile}`,
    `for word; do [ -f "${faultFile}.$word" ] && fault="${faultFile}.$word"; done`,
    `FIRECRACKER_DOUBLE_FAULT=$(cat "$fault") exec ${node} ${program} "$@"`,
  ];
  await writeProgram(path, lines.join("\n"));
  await setFault("");
  if (options.jailer === true) await writeProgram(join(directory, "jailer"), `exec sh ${jailer} ${checkout} "$@"`);
  return { program: path, setFault };
}

async function writeProgram(path: string, command: string): Promise<void> {
  await fs.writeFile(path, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
}
