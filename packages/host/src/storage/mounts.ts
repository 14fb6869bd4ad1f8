import { promises as fs } from "node:fs";
import { basename } from "node:path";

export interface Mount {
  target: string;
  type: string;
  /** device or other source */
  source: string;
  /** of the file system, the directory that is mounted */
  root: string;
  /** the mount's own options and its file system's, separated by commas */
  options: string;
}

/** The mount that `path` itself is the mount point of; null if it is none. */
export async function findMount(path: string): Promise<Mount | null> {
  const real = await fs.realpath(path).catch(() => path);
  return (await listMounts()).findLast((mount) => mount.target === real) ?? null;
}

/** The mount that `path` lies in. */
export async function findMountOf(path: string): Promise<Mount | null> {
  const real = await fs.realpath(path).catch(() => path);
  const above = (target: string): boolean => target === "/" || real === target || real.startsWith(`${target}/`);
  const mounts = (await listMounts()).filter(({ target }) => above(target));
  return mounts.reduce<Mount | null>(
    (best, mount) => (best === null || mount.target.length >= best.target.length ? mount : best),
    null,
  );
}

/** proc_pid_mountinfo(5); spaces and backslashes are written in octal */
export async function listMounts(): Promise<Mount[]> {
  const text = await fs.readFile("/proc/self/mountinfo", "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      const [, , , root = "", target = "", own = ""] = before.split(" ");
      const [type = "", source = "", general = ""] = after.split(" ");
      return {
        target: unescape(target),
        type,
        source: unescape(source),
        root: unescape(root),
        options: `${own},${general}`,
      };
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
