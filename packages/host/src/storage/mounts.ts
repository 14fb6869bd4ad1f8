import { promises as fs } from "node:fs";
import { basename } from "node:path";

export interface Mount {
  target: string;
  type: string;
  /** device or other source */
  source: string;
}

/** The mount that `path` itself is the mount point of; null if it is none. */
export async function findMount(path: string): Promise<Mount | null> {
  const real = await fs.realpath(path).catch(() => path);
  return (await listMounts()).findLast((mount) => mount.target === real) ?? null;
}

/** proc_pid_mountinfo(5); spaces and backslashes are written in octal */
async function listMounts(): Promise<Mount[]> {
  const text = await fs.readFile("/proc/self/mountinfo", "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      const [type = "", source = ""] = after.split(" ");
      return { target: unescape(before.split(" ")[4] ?? ""), type, source: unescape(source) };
    });
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The file behind a loop device; null for any other device. */
export async function loopFileOf(device: string): Promise<string | null> {
  if (!device.startsWith("/dev/loop")) return null;
  try {
    return (await fs.readFile(`/sys/block/${basename(device)}/loop/backing_file`, "utf8")).trimEnd();
  } catch {
    return null;
  }
}
