import { promises as fs } from "node:fs";
import { basename, dirname, join } from "node:path";
import { runTool } from "../process/run.ts";
import { findMountOf } from "../storage/mounts.ts";
import { findProgram } from "../process/find-program.ts";

/**
 * Firecracker's jailer: a file system of its own with nothing in it but what the VM needs, and a user of its own.
 *
 * It makes `<base>/<program>/<id>/root`, copies the program there, makes its devices, gives up root and executes it.
 * It takes no such directory twice and removes none. The VM's files are mounted into it, in a mount namespace that
 * goes with the process, since disks lie in subvolumes, which hard links do not cross.
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
  for (const tool of ["unshare", "mount"])
    if ((await findProgram(tool, null)) === null) return { trouble: `the jailer's mounts need ${tool}` };
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

/** Makes the places of a jail's files, whose disks become its user's. What an earlier run left is removed. */
export async function makeJail(jail: Jail, files: readonly JailedFile[]): Promise<void> {
  await fs.rm(jail.directory, { recursive: true, force: true });
  await fs.mkdir(jail.root, { recursive: true, mode: 0o700 });
  for (const { path, name, readOnly } of files) {
    await fs.writeFile(join(jail.root, name), "", { flag: "wx" });
    if (!readOnly) await fs.chown(path, jail.user, jail.user);
  }
  await fs.writeFile(mountTable(jail), files.map((file) => mountLine(jail, file)).join(""));
}

/** what is mounted in the jail, in the format of fstab(5); out of the jail's sight */
function mountTable(jail: Jail): string {
  return join(jail.directory, "mounts");
}

function mountLine(jail: Jail, { path, name, readOnly }: JailedFile): string {
  const escaped = (text: string): string =>
    text.replace(/[\s\\]/g, (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return `${escaped(path)} ${escaped(join(jail.root, name))} none ${readOnly ? "bind,ro" : "bind"} 0 0\n`;
}

/**
 * Gives the FIFOs and the tap to the jail's user and mounts its files, then becomes the jailer. The namespace is made a
 * slave of the host's, so that what the host unmounts does not live on in it. Each process more would make a start
 * longer.
 */
const enterScript = `set -e
chown "$1" $2
mount --all --fstab "$3"
[ -z "$4" ] || "$5" own-tap "$4" "\${1%:*}"
shift 5
cd /
exec "$@"`;

/** The command that is Firecracker in the jail, in one process from its first word on. */
export function jailedCommand(about: {
  jail: Jail;
  jailer: string;
  firecracker: string;
  id: string;
  /** names of the FIFOs in the jail */
  fifos: readonly string[];
  /** in the network namespace that the command is run in, and the program that gives it away; null without an interface */
  tap: { name: string; networkHelper: string } | null;
  /** Firecracker's own */
  arguments: readonly string[];
}): [string, ...string[]] {
  const { jail, jailer, firecracker, id, fifos, tap } = about;
  const user = String(jail.user);
  const enter = ["--mount", "--propagation", "slave", "--wd", jail.root, "--", "sh", "-c", enterScript, "jail"];
  const place = [`${user}:${user}`, fifos.join(" "), mountTable(jail), tap?.name ?? "", tap?.networkHelper ?? ""];
  const who = ["--id", id, "--exec-file", firecracker, "--uid", user, "--gid", user];
  // version 1 without any group is what leaves the process in ours: version 2 moves it into one named `firecracker`
  const where = ["--chroot-base-dir", dirname(dirname(jail.directory)), "--cgroup-version", "1"];
  return ["unshare", ...enter, ...place, jailer, ...who, ...where, "--", ...about.arguments];
}
