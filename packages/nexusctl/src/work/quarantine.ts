import { createReadStream, promises as fs } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../failures.ts";
import { gitApart, GitError } from "./git.ts";

/**
 * What a guest's repository holds, in a repository of our own making. Of the guest's only objects are taken, each
 * checked by git, and its name for the newest commit, read as text; its configuration, hooks, indexes, alternates and
 * whatever else lies in its `.git` are never looked at.
 */
const objectDirectory = /^[0-9a-f]{2}$/;
const looseObject = /^[0-9a-f]{38}$/;
const pack = /^pack-[0-9a-f]{40}\.pack$/;
const commitName = /^[0-9a-f]{40}$/;
/** a branch as git would have it, and nothing that could lead elsewhere as a path */
const branchReference = /^ref: (refs\/heads\/(?!.*(?:\.\.|\/\/|\/$))[\w./+@#-]{1,200})$/;

export class GuestWorkError extends Refusal {
  override readonly name = "GuestWorkError";
}

export interface Quarantine {
  /** bare repository */
  directory: string;
  /** newest commit of what the guest has checked out; null where there is none yet */
  head: string | null;
}

/** `guestGit` is the guest's `.git`, unpacked on this host. */
export async function makeQuarantine(guestGit: string, directory: string, signal: AbortSignal): Promise<Quarantine> {
  await removeLinks(guestGit);
  await fs.mkdir(directory);
  await gitApart(directory, ["init", "--quiet", "--bare", "--template=", "."], { signal });
  await takeObjects(join(guestGit, "objects"), directory, signal);
  const head = await headOf(guestGit);
  if (head !== null) await checkHistory(directory, head, signal);
  return { directory, head };
}

async function takeObjects(from: string, directory: string, signal: AbortSignal): Promise<void> {
  for (const name of await namesIn(join(from, "pack"))) {
    const path = join(from, "pack", name);
    if (!pack.test(name) || !(await isFile(path))) continue;
    // read object by object, and named and indexed anew
    await gitApart(directory, ["index-pack", "--stdin"], { signal, input: createReadStream(path) });
  }
  for (const first of await namesIn(from)) {
    if (!objectDirectory.test(first)) continue;
    await fs.mkdir(join(directory, "objects", first), { recursive: true });
    for (const rest of await namesIn(join(from, first))) {
      const path = join(from, first, rest);
      if (looseObject.test(rest) && (await isFile(path)))
        await fs.copyFile(path, join(directory, "objects", first, rest));
    }
  }
}

/** Everything that the commit needs is there and sound: names fit contents, trees have no names that lead outside. */
async function checkHistory(directory: string, head: string, signal: AbortSignal): Promise<void> {
  try {
    await gitApart(directory, ["update-ref", "refs/heads/guest", head], { signal });
    await gitApart(directory, ["fsck", "--strict", "--no-dangling", "--no-reflogs", head], { signal });
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw new GuestWorkError(`the guest's repository is not sound: ${error.message}`, { cause: error });
  }
}

async function headOf(guestGit: string): Promise<string | null> {
  const text = await firstLine(join(guestGit, "HEAD"));
  if (text === null) throw new GuestWorkError("the guest's repository has no HEAD");
  if (commitName.test(text)) return text;
  const branch = branchReference.exec(text)?.[1];
  if (branch === undefined) throw new GuestWorkError("the guest's HEAD names neither a branch nor a commit");
  const loose = await firstLine(join(guestGit, branch));
  if (loose !== null && commitName.test(loose)) return loose;
  const packed = (await isFile(join(guestGit, "packed-refs")))
    ? await fs.readFile(join(guestGit, "packed-refs"), "latin1")
    : "";
  const line = packed.split("\n").find((one) => one.slice(41) === branch);
  const named = line?.slice(0, 40) ?? "";
  return commitName.test(named) ? named : null;
}

async function firstLine(path: string): Promise<string | null> {
  if (!(await isFile(path))) return null;
  const handle = await fs.open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, 0);
    return buffer.subarray(0, bytesRead).toString("latin1").split("\n")[0] ?? "";
  } finally {
    await handle.close();
  }
}

/** A repository needs none, and one could lead to files of this host. */
async function removeLinks(directory: string): Promise<void> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isSymbolicLink()) await fs.unlink(path);
    else if (entry.isDirectory()) await removeLinks(path);
  }
}

/** A directory's names, none where it is no directory. */
async function namesIn(path: string): Promise<string[]> {
  const found = await fs.lstat(path).catch(() => null);
  return found?.isDirectory() === true ? await fs.readdir(path) : [];
}

async function isFile(path: string): Promise<boolean> {
  return (await fs.lstat(path).catch(() => null))?.isFile() ?? false;
}
