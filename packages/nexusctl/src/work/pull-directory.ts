import { createReadStream, promises as fs, type Stats } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { place, writeFile } from "../copy/draft.ts";
import { Refusal, UsageError } from "../failures.ts";
import { gitApart } from "./git.ts";
import { fetchTree, removeRepositories, type Pulling } from "./guest-tree.ts";
import { filesOf, showWords, type ChangedFile } from "./patch.ts";
import { importTree } from "./tree-import.ts";

/**
 * Bringing a plain directory back from a VM: the guest's files and those of this host are put into a repository apart,
 * where git compares them, and what was shown is what is written. Nothing that the guest wrote is executed.
 *
 * What counts of a file is what git counts: its content, whether it is executable, or where it leads. Empty
 * directories, owners and times do not.
 */
export interface DirectoryChange {
  files: ChangedFile[];
  /** of the guest's, in plain words */
  leftOut: string[];
  /** As git shows it, to be read or, binary files and all, to be applied; throws where that is more than can be held. */
  patch: (use: "read" | "apply") => Promise<Buffer>;
}

/** Finds what differs from the directory `into` and hands it to `use`; `apply` writes it there. */
export async function pullDirectory<T>(
  pulling: Pulling,
  into: string,
  use: (change: DirectoryChange, apply: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const { signal } = pulling;
  if (!(await lookAt(into))?.isDirectory()) throw new UsageError(`${into} is no directory`);
  const stage = await fs.mkdtemp(join(tmpdir(), "workfort-pull-"));
  try {
    const tree = join(stage, "tree");
    const { leftOut } = await fetchTree(pulling, tree);
    for (const path of await removeRepositories(tree))
      leftOut.push(`${relative(tree, path)}: a repository of its own; its files are compared`);
    const apart = join(stage, "apart.git");
    await gitApart(stage, ["init", "--quiet", "--bare", "--template=", apart], { signal });
    const [here, there] = [await importTree(apart, into, signal), await importTree(apart, tree, signal)];
    const show = (...words: string[]): Promise<Buffer> =>
      gitApart(apart, [...showWords, ...words, here, there], { signal });
    const change: DirectoryChange = {
      files: filesOf(await show("--numstat", "-z", "--no-renames")),
      leftOut,
      patch: (use) => show("--find-renames", ...(use === "apply" ? ["--binary"] : [])),
    };
    return await use(change, async () => {
      if ((await importTree(apart, into, signal)) !== here)
        throw new Refusal(`${into} has changed since it was compared; nothing was written`);
      await apply(into, tree, changesIn(await show("--name-status", "-z", "--no-renames")), signal);
    });
  } finally {
    await fs.rm(stage, { recursive: true, force: true });
  }
}

interface PathChange {
  /** bytes as latin1: names need not be UTF-8 */
  path: string;
  isDeleted: boolean;
}

/** a letter and a path in turn, each ended by a zero */
function changesIn(nameStatus: Buffer): PathChange[] {
  const words = nameStatus.toString("latin1").split("\0");
  const changes: PathChange[] = [];
  for (let at = 0; at + 1 < words.length; at += 2)
    changes.push({ path: words[at + 1] ?? "", isDeleted: words[at] === "D" });
  return changes;
}

/** What is deleted goes first: a directory may become a file. An interruption leaves each file as it was or is to be. */
async function apply(into: string, tree: string, changes: readonly PathChange[], signal: AbortSignal): Promise<void> {
  const at = (root: string, path: string): Buffer =>
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
  for (const { path, isDeleted } of changes) {
    if (!isDeleted) continue;
    signal.throwIfAborted();
    await checkWay(into, path);
    await fs.rm(at(into, path), { force: true });
    await removeEmptied(into, path, at);
  }
  for (const { path, isDeleted } of changes) {
    if (isDeleted) continue;
    signal.throwIfAborted();
    await checkWay(into, path, { make: true });
    const [from, to] = [at(tree, path), at(into, path)];
    const found = await fs.lstat(from);
    if (found.isSymbolicLink()) {
      const target = await fs.readlink(from, { encoding: "buffer" });
      await place(to, (temporary) => fs.symlink(target, temporary));
    } else await writeFile(to, createReadStream(from), { mode: modeFor(await lookAt(to), found), modified: null });
  }
}

/** Only whether a file is executable was shown; all else of its mode stays as it is here. */
function modeFor(before: Stats | null, after: Stats): number {
  const kept = before?.isFile() === true ? before.mode & 0o777 : 0o644;
  return (after.mode & 0o100) === 0 ? kept & ~0o111 : kept | ((kept & 0o444) >> 2);
}

/** Makes sure that each directory on the way to a path is one, and no link. */
async function checkWay(into: string, path: string, { make = false } = {}): Promise<void> {
  const parts = path.split("/").slice(0, -1);
  for (let length = 1; length <= parts.length; length += 1) {
    const way = Buffer.concat([Buffer.from(`${into}/`), Buffer.from(parts.slice(0, length).join("/"), "latin1")]);
    if (make) await fs.mkdir(way).catch(() => {}); // whatever is there is looked at
    if (!(await lookAt(way))?.isDirectory())
      throw new Refusal(`${way.toString()} is no directory, where the guest has one; it was left alone`);
  }
}

async function removeEmptied(into: string, path: string, at: (root: string, path: string) => Buffer): Promise<void> {
  const parts = path.split("/").slice(0, -1);
  for (; parts.length > 0; parts.pop()) {
    try {
      await fs.rmdir(at(into, parts.join("/")));
    } catch {
      return; // something else is in it
    }
  }
}

async function lookAt(path: string | Buffer): Promise<Stats | null> {
  return await fs.lstat(path).catch(() => null);
}
