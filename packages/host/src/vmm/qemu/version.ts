import { runTool } from "../../process/run.ts";

/** the emulator of this machine's architecture */
export const qemuName = process.arch === "arm64" ? "qemu-system-aarch64" : "qemu-system-x86_64";

/** The version QEMU states, for example `7.2.22`; rejects where the program does not run. */
export async function qemuVersion(binary: string): Promise<string> {
  const { stdout } = await runTool([binary, "--version"], { timeoutMs: 10_000 });
  const version = /version (\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  if (version === undefined)
    throw new Error(`${binary} --version says "${stdout.trim().slice(0, 200)}", which has no version`);
  return version;
}
