import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../failures.ts";
import { gitApart, gitHere } from "./git.ts";
import { fetchTree, removeRepositories, type Pulling } from "./guest-tree.ts";
import { filesOf, showWords, type ChangedFile } from "./patch.ts";
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
  files: ChangedFile[];
  /** As git shows it, to be read or, binary files and all, to be applied; throws where that is more than can be held. */
  patch: (use: "read" | "apply") => Promise<Buffer>;
}

/** Finds what the guest has changed and hands it to `use`; `keep` makes a branch of it in the repository at `top`. */
export async function pullWork<T>(
  pulling: Pulling,
  top: string,
  use: (change: Change, keep: (branch: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const { signal } = pulling;
  const stage = await fs.mkdtemp(join(tmpdir(), "workfort-pull-"));
  try {
    const { commit, hasUncommitted, apart } = await fetchWork(pulling, stage);
    const objects = { GIT_ALTERNATE_OBJECT_DIRECTORIES: join(apart, "objects") };
    const here = (words: readonly string[], okCodes?: readonly number[]): Promise<Buffer> =>
      gitHere(top, words, { signal, env: objects, ...(okCodes === undefined ? {} : { okCodes }) });
    const own = (await here(["rev-parse", "--verify", "--quiet", "HEAD"], [0, 1])).toString().trim();
    const base = own === "" ? "" : (await here(["merge-base", own, commit], [0, 1])).toString().trim();
    const from = base === "" ? await emptyTree(top, signal) : base;
    const change: Change = {
      commit,
      base: base === "" ? null : base,
      hasUncommitted,
      files: filesOf(await here([...showWords, "--numstat", "-z", "--no-renames", from, commit])),
      patch: (use) => here([...showWords, "--find-renames", ...(use === "apply" ? ["--binary"] : []), from, commit]),
    };
    return await use(change, (branch) => keep({ top, apart, commit, branch, signal }));
  } finally {
    await fs.rm(stage, { recursive: true, force: true });
  }
}

/** The guest's repository, apart from everything, with a commit of all that is there. */
async function fetchWork(
  pulling: Pulling,
  stage: string,
): Promise<{ commit: string; hasUncommitted: boolean; apart: string }> {
  const { signal, place } = pulling;
  const { vm, path } = place;
  const tree = join(stage, "tree");
  await fetchTree(pulling, tree);
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
