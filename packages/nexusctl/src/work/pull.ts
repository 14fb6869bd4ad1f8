import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "@workfort/client/client";
import { WorkfortError } from "@workfort/contract/errors";
import { unpackHere } from "../copy/unpack.ts";
import { UsageError } from "../failures.ts";
import { gitApart, gitHere, workTreeOf } from "./git.ts";
import { GuestWorkError, makeQuarantine } from "./quarantine.ts";

/**
 * Bringing work back from a VM, in two steps: what has changed is found and shown, and only then taken over, as a
 * branch. Nothing that the guest wrote is executed, and no work tree of this host is touched.
 */
export interface Change {
  /** commit that holds it all, what the guest has not committed included */
  commit: string;
  /** commit of this host's repository that the guest's work goes on from; null where they have none in common */
  base: string | null;
  /** whether the newest commit was made here, of what the guest had not committed */
  hasUncommitted: boolean;
  /** per file: lines added and deleted, null for binary files */
  files: { path: string; added: number | null; deleted: number | null }[];
  /** as git shows it */
  patch: string;
}

export interface Pulling {
  client: Client;
  signal: AbortSignal;
  place: { vm: string; path: string };
  /** a directory in the repository that gets the branch */
  into: string;
}

/** of a guest's archive, bytes; more would fill this host's disk before anybody has looked at it */
const archiveBytes = 16 * 1024 ** 3;

/** Finds what the guest has changed and hands it to `use`; `keep` makes a branch of it. */
export async function pullWork<T>(
  pulling: Pulling,
  use: (change: Change, keep: (branch: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const { signal, into, place } = pulling;
  const top = await workTreeOf(into, signal);
  if (top === null)
    throw new UsageError(`${into} is not in a git repository`, {
      why: ["the work comes back as a branch of one"],
      hint: `nexusctl vm cp ${place.vm}:${place.path} . copies the files instead`,
    });
  const stage = await fs.mkdtemp(join(tmpdir(), "workfort-pull-"));
  try {
    const { commit, hasUncommitted, apart } = await fetchWork(pulling, stage);
    const objects = { GIT_ALTERNATE_OBJECT_DIRECTORIES: join(apart, "objects") };
    const here = (words: readonly string[], okCodes?: readonly number[]): Promise<Buffer> =>
      gitHere(top, words, { signal, env: objects, ...(okCodes === undefined ? {} : { okCodes }) });
    const own = (await here(["rev-parse", "--verify", "--quiet", "HEAD"], [0, 1])).toString().trim();
    const base = own === "" ? "" : (await here(["merge-base", own, commit], [0, 1])).toString().trim();
    const from = base === "" ? await emptyTree(top, signal) : base;
    const show = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"];
    const change: Change = {
      commit,
      base: base === "" ? null : base,
      hasUncommitted,
      files: filesOf(await here([...show, "--numstat", "-z", "--no-renames", from, commit])),
      patch: (await here([...show, from, commit])).toString("utf8"),
    };
    return await use(change, (branch) => keep({ top, apart, commit, branch, signal }));
  } finally {
    await fs.rm(stage, { recursive: true, force: true });
  }
}

/** The guest's repository, apart from everything, with a commit of all that is there. */
async function fetchWork(
  { client, signal, place: { vm, path } }: Pulling,
  stage: string,
): Promise<{ commit: string; hasUncommitted: boolean; apart: string }> {
  const tree = join(stage, "tree");
  const query = { path };
  const { body } = await client
    .bytes("vm.files.archive", { params: { vm }, query }, { signal })
    .catch((error: unknown) => {
      if (error instanceof WorkfortError && error.code === "not_found")
        throw new UsageError(`there is nothing at ${vm}:${path}`, { hint: `nexusctl work push . ${vm}:${path}` });
      throw error;
    });
  await unpackHere(bounded(body), tree);
  const guestGit = join(stage, "guest.git");
  await fs.rename(join(tree, ".git"), guestGit).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    throw new UsageError(`${vm}:${path} is no git repository`, {
      hint: `nexusctl vm cp ${vm}:${path} . copies the files`,
    });
  });
  if (!(await fs.lstat(guestGit)).isDirectory()) throw new GuestWorkError(`${vm}:${path}/.git is no directory`);
  await removeRepositories(tree);
  const { directory: apart, head } = await makeQuarantine(guestGit, join(stage, "apart.git"), signal);
  const env = { GIT_DIR: apart, GIT_WORK_TREE: tree, GIT_INDEX_FILE: join(stage, "index") };
  const git = async (...words: string[]): Promise<string> =>
    (await gitApart(tree, words, { signal, env })).toString().trim();
  await git("read-tree", head ?? "--empty");
  await git("add", "--all", ".");
  const now = await git("write-tree");
  const before = head === null ? null : await git("rev-parse", `${head}^{tree}`);
  if (head !== null && now === before) return { commit: head, hasUncommitted: false, apart };
  const parents = head === null ? [] : ["-p", head];
  const commit = await git("commit-tree", now, ...parents, "-m", `Work in ${vm}:${path} that was not committed`);
  return { commit, hasUncommitted: true, apart };
}

/** Repositories within the tree: git would take them for submodules, and look into them. */
async function removeRepositories(directory: string): Promise<void> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.name.toLowerCase() === ".git") await fs.rm(path, { recursive: true, force: true });
    else if (entry.isDirectory()) await removeRepositories(path);
  }
}

/** Makes the branch. A branch that has gone on by itself is left as it is. */
async function keep(about: {
  top: string;
  apart: string;
  commit: string;
  branch: string;
  signal: AbortSignal;
}): Promise<void> {
  const { top, apart, commit, branch, signal } = about;
  await gitApart(apart, ["update-ref", "refs/heads/pulled", commit], { signal });
  const words = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"];
  const settings = ["-c", "fetch.fsckObjects=true", "-c", "protocol.file.allow=always"];
  await gitHere(top, [...settings, ...words, `file://${apart}`, `refs/heads/pulled:refs/heads/${branch}`], { signal });
}

/** The tree that has nothing in it, which every diff of a whole begins with. */
async function emptyTree(top: string, signal: AbortSignal): Promise<string> {
  return (await gitHere(top, ["hash-object", "-t", "tree", "/dev/null"], { signal })).toString().trim();
}

/** `added<TAB>deleted<TAB>path`, with - for binary files, each ended by a zero */
function filesOf(numstat: Buffer): Change["files"] {
  const count = (text: string | undefined): number | null => (text === undefined || text === "-" ? null : Number(text));
  return numstat
    .toString("utf8")
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      const [added, deleted, ...path] = line.split("\t");
      return { path: path.join("\t"), added: count(added), deleted: count(deleted) };
    });
}

async function* bounded(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > archiveBytes) throw new GuestWorkError(`the guest's work is larger than ${archiveBytes} bytes`);
    yield chunk;
  }
}
