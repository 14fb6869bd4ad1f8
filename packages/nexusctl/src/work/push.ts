import { constants, promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Client } from "@workfort/client/client";
import { WorkfortError } from "@workfort/contract/errors";
import { packTree } from "../copy/tar-out.ts";
import { UsageError } from "../failures.ts";
import { gitHere, workTreeOf } from "./git.ts";

/** Carrying work into a VM: a repository with its history and what is not committed yet, or a plain directory. */
export interface Pushed {
  /** of the repository, or of the directory */
  from: string;
  to: string;
  /** null for a plain directory, and for a repository without a commit */
  commit: string | null;
  files: number;
  bytes: number;
  /** what was not taken along, in plain words */
  leftOut: string[];
}

export interface PushOptions {
  client: Client;
  signal: AbortSignal;
  /** delete what is at the place first */
  replace: boolean;
}

export async function pushWork(
  directory: string,
  place: { vm: string; path: string },
  options: PushOptions,
): Promise<Pushed> {
  const { client, signal } = options;
  const params = { vm: place.vm };
  const top = await workTreeOf(directory, signal);
  const stage = await fs.mkdtemp(join(tmpdir(), "workfort-push-"));
  try {
    const leftOut: string[] = [];
    const commit = top === null ? null : await stageRepository(top, stage, leftOut, signal);
    if (top !== null) await fs.chmod(stage, (await fs.stat(top)).mode & 0o777); // mkdtemp(3) lets nobody else in
    await makeRoom(place, options); // only now: what is there goes for something that is ready
    const packed = { files: 0, directories: 0, links: 0, leftOut };
    const tar = packTree(top === null ? directory : stage, packed);
    const done = await client.send("vm.files.unpack", { params, query: { path: place.path } }, tar, { signal });
    return {
      from: top ?? directory,
      to: `${place.vm}:${place.path}`,
      commit,
      files: done.files,
      bytes: done.bytes,
      leftOut: [...leftOut, ...done.leftOut],
    };
  } finally {
    await fs.rm(stage, { recursive: true, force: true });
  }
}

/** A place with something in it is left alone, unless it is to be replaced. */
async function makeRoom(
  { vm, path }: { vm: string; path: string },
  { client, signal, replace }: PushOptions,
): Promise<void> {
  const params = { vm };
  if (replace)
    await client
      .call("vm.files.delete", { params, body: { path, recursive: true } }, { signal })
      .catch((error: unknown) => {
        if (!(error instanceof WorkfortError) || error.code !== "not_found") throw error;
      });
  await client.call("vm.files.mkdir", { params, body: { path, parents: true } }, { signal });
  const { entries } = await client.call("vm.files.list", { params, query: { path, limit: "1" } }, { signal });
  if (entries.length > 0)
    throw new UsageError(`${vm}:${path} is not empty`, {
      why: ["what is there may be somebody's work"],
      hint: `nexusctl work pull ${vm}:${path} brings it back; --replace deletes it`,
    });
}

/**
 * A repository made anew: the history of the branch that is checked out, and tags; none of the host's configuration,
 * hooks, remotes or credentials. Into it the files as they are now, but those that git ignores.
 */
async function stageRepository(
  top: string,
  stage: string,
  leftOut: string[],
  signal: AbortSignal,
): Promise<string | null> {
  const clone = ["clone", "--quiet", "--no-checkout", "--template=", `file://${top}`, stage];
  await gitHere(top, clone, { signal });
  await gitHere(stage, ["remote", "remove", "origin"], { signal });
  const commit = await gitHere(top, ["rev-parse", "--verify", "--quiet", "HEAD"], { signal, okCodes: [0, 1] });
  if (commit.length > 0) await gitHere(stage, ["read-tree", "HEAD"], { signal });
  const listed = await gitHere(top, ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { signal });
  for (const path of new Set(listed.toString("latin1").split("\0"))) {
    if (path === "") continue;
    const name = Buffer.from(path, "latin1");
    await copyOne(
      Buffer.concat([Buffer.from(`${top}/`), name]),
      Buffer.concat([Buffer.from(`${stage}/`), name]),
      leftOut,
    );
  }
  return commit.length > 0 ? commit.toString().trim() : null;
}

async function copyOne(from: Buffer, to: Buffer, leftOut: string[]): Promise<void> {
  const found = await fs.lstat(from).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null; // deleted, and not yet committed
    throw error;
  });
  if (found === null) return;
  if (found.isDirectory()) {
    leftOut.push(`${from.toString()}: a repository of its own; push it by itself`);
    return;
  }
  await fs.mkdir(Buffer.from(dirname(to.toString("latin1")), "latin1"), { recursive: true });
  if (found.isSymbolicLink()) await fs.symlink(await fs.readlink(from, { encoding: "buffer" }), to);
  else if (found.isFile()) {
    await fs.copyFile(from, to, constants.COPYFILE_FICLONE);
    await fs.chmod(to, found.mode & 0o777);
    await fs.utimes(to, found.atime, found.mtime);
  } else leftOut.push(`${from.toString()}: a pipe, a socket or a device`);
}
