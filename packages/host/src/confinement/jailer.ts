import { chownSync, existsSync, promises as fs, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Endowment } from "../process/keeper.ts";
import { runTool } from "../process/run.ts";
import { findMountOf } from "../storage/mounts.ts";
import { findProgram } from "../process/find-program.ts";

/**
 * Firecracker's jailer: a file system of its own with nothing in it but what the VM needs, and a user of its own.
 *
 * It makes `<base>/<program>/<id>/root`, copies the program there, makes its devices, gives up root and executes it.
 * It takes no such directory twice and removes none. The keeper mounts the VM's files into it, in a mount namespace
 * that goes with the process, since disks lie in subvolumes, which hard links do not cross.
 */
/** The user and group of a VM: this and its CID. From the range that systemd leaves to containers (systemd's UIDS-GIDS). */
const firstUser = 1_000_000_000;
/** a file that a VM has, and its name in the jail */
export interface JailedFile {
  path: string;
  name: string;
  readOnly: boolean;
}

export interface Jail {
  /** the directory that is removed with the run */
  directory: string;
  /** what the VMM sees as `/` */
  root: string;
  user: number;
}

/** The jailer of a Firecracker, or why it cannot be used. */
export async function findJailer(
  firecracker: string,
  version: string,
  jails: string,
): Promise<{ jailer: string } | { trouble: string }> {
  if (process.getuid?.() !== 0) return { trouble: "the jailer needs root" };
  const real = await fs.realpath(firecracker);
  const jailer =
    (await findProgram("jailer", join(dirname(firecracker), "jailer"))) ??
    (await findProgram("jailer", join(dirname(real), "jailer"))) ??
    (await findProgram("jailer", null));
  if (jailer === null) return { trouble: "there is no jailer beside Firecracker, and none on PATH" };
  const { stdout } = await runTool([jailer, "--version"], { timeoutMs: 10_000 });
  const found = /^Jailer v(\d\S*)/m.exec(stdout)?.[1];
  if (found !== version) return { trouble: `the jailer ${jailer} is of version ${found}, Firecracker of ${version}` };
  const options = (await findMountOf(dirname(jails)))?.options.split(",") ?? [];
  const forbids = ["nodev", "noexec"].find((option) => options.includes(option));
  return forbids === undefined
    ? { jailer }
    : { trouble: `${dirname(jails)} is mounted ${forbids}, so that no jail can lie there` };
}

export async function jailOf(jails: string, firecracker: string, id: string, cid: number): Promise<Jail> {
  const directory = join(jails, basename(await fs.realpath(firecracker)), id);
  return { directory, root: join(directory, "root"), user: firstUser + cid };
}

/**
 * Makes the places of a jail's files, whose disks become its user's. What an earlier run left is removed. By synchronous
 * calls: they are few and short, and the way through another thread takes longer than each of them.
 */
export function makeJail(jail: Jail, files: readonly JailedFile[]): void {
  if (existsSync(jail.directory)) rmSync(jail.directory, { recursive: true });
  mkdirSync(jail.root, { recursive: true, mode: 0o700 });
  for (const { path, name, readOnly } of files) {
    writeFileSync(join(jail.root, name), "", { flag: "wx" });
    if (!readOnly) chownSync(path, jail.user, jail.user);
  }
}

/** What a jail's VMM gets before the jailer makes it another user; `tap` is in its network namespace. */
export function endowmentOf(jail: Jail, files: readonly JailedFile[], tap: string | null): Endowment {
  const mounts = files.map(({ path, name, readOnly }) => ({ source: path, target: join(jail.root, name), readOnly }));
  return { user: jail.user, mounts, tap };
}

/** The command that is Firecracker in the jail, in one process from its first word on. */
export function jailedCommand(about: {
  jail: Jail;
  jailer: string;
  firecracker: string;
  id: string;
  /** Firecracker's own */
  arguments: readonly string[];
}): [string, ...string[]] {
  const { jail, jailer, firecracker, id } = about;
  const user = String(jail.user);
  const who = ["--id", id, "--exec-file", firecracker, "--uid", user, "--gid", user];
  // version 1 without any group is what leaves the process in ours: version 2 moves it into one named `firecracker`
  const where = ["--chroot-base-dir", dirname(dirname(jail.directory)), "--cgroup-version", "1"];
  return [jailer, ...who, ...where, "--", ...about.arguments];
}
