import { promises as fs } from "node:fs";
import { join } from "node:path";
import { runTool } from "../process/run.ts";
import { measureTree } from "./tree.ts";
import { attributesOfDirectory, attributesOfTar, setAttributes, type FileAttributes } from "./attributes.ts";
import { changeByDebugfs } from "./debugfs.ts";

/**
 * ext4 images made without root and without mounts: `mke2fs -d` copies a tree into a new file system. As an ordinary
 * user it runs under `fakeroot`, where the user's own files count as root's and an extracted tar has the owners, modes
 * and devices it names. What is lost on the way is written afterwards (`attributes.ts`).
 */
export interface Ext4Source {
  directory?: string;
  tar?: string;
}

export interface BuildExt4 {
  /** either a directory or a tar; neither for an empty one */
  source: Ext4Source;
  target: string;
  /** the owners are those that the source's files have, its top included, whoever runs this */
  keepOwners?: boolean;
  /** of the file system; by default its content and half as much again, and 256 MiB */
  sizeBytes?: number | undefined;
  label?: string | undefined;
  signal?: AbortSignal | undefined;
}

const mebibyte = 1024 ** 2;
const blockBytes = 4096;
/** what a new file system needs for itself beside its content: inode tables, journal, bitmaps (measured on 1.47.0) */
const ownShare = 1.05;
const ownBytes = 24 * mebibyte;

/** Makes `target`, complete or not at all. */
export async function buildExt4(request: BuildExt4): Promise<{ sizeBytes: number; contentBytes: number }> {
  const work = `${request.target}.${process.pid}.tmp`;
  await removeTree(work);
  await fs.mkdir(work, { recursive: true, mode: 0o700 });
  try {
    const image = join(work, "image");
    const result = await buildInto(image, work, request);
    await fs.rename(image, request.target);
    return result;
  } finally {
    await removeTree(work);
  }
}

async function buildInto(
  image: string,
  work: string,
  request: BuildExt4,
): Promise<{ sizeBytes: number; contentBytes: number }> {
  const { source, signal } = request;
  const fake = new FakeRoot(join(work, "owners"), request.keepOwners ?? false);
  const tree = source.directory ?? join(work, "tree");
  if (source.directory === undefined) await fs.mkdir(tree, { mode: 0o755 });
  if (source.tar !== undefined) {
    await fake.run(
      ["tar", "--extract", "--file", source.tar, "--directory", tree, "--preserve-permissions", "--numeric-owner"],
      signal,
    );
  }
  const { contentBytes, inodes } = await measureTree(tree);
  const least = Math.ceil((contentBytes * ownShare + ownBytes) / mebibyte) * mebibyte;
  const sizeBytes = roundUp(request.sizeBytes ?? contentBytes * 1.5 + 256 * mebibyte);
  if (sizeBytes < least)
    throw new Error(
      `${sizeBytes / mebibyte} MiB are too few for ${Math.ceil(contentBytes / mebibyte)} MiB of content; at least ${least / mebibyte} MiB are needed`,
    );
  // mke2fs discards only in a file that is there, and finds none but holes
  await fs.writeFile(image, "");
  await fs.truncate(image, sizeBytes);
  await fake.run(
    [
      "mke2fs",
      "-q",
      "-F",
      "-t",
      "ext4",
      "-b",
      String(blockBytes),
      "-m",
      "1",
      "-N",
      String(Math.max(Math.ceil(sizeBytes / 16_384), Math.ceil(inodes * 1.5) + 1024)),
      ...(request.label === undefined ? [] : ["-L", request.label]),
      // tables and journal stay holes; those of the tables read as zeros and are marked so (by `discard`), else every
      // guest would write its own zeros there
      "-E",
      "lazy_itable_init=0,lazy_journal_init=1,discard",
      "-d",
      tree,
      image,
      `${sizeBytes / 1024}k`,
    ],
    signal,
  );
  if (request.keepOwners) await setTop(image, source.directory, signal);
  await setAttributes(image, await attributesLost(source, tree, fake), work, signal);
  await runTool(["e2fsck", "-f", "-n", image], { signal });
  return { sizeBytes, contentBytes };
}

/** The extended attributes that mke2fs has not taken over. */
async function attributesLost(source: Ext4Source, tree: string, fake: FakeRoot): Promise<FileAttributes[]> {
  if (source.tar !== undefined) return await attributesOfTar(source.tar);
  return fake.isNeeded ? await attributesOfDirectory(tree) : [];
}

/** `mke2fs -d` gives the top of the tree to root, with mode 755 (measured on 1.47.0). */
async function setTop(image: string, directory: string | undefined, signal: AbortSignal | undefined): Promise<void> {
  if (directory === undefined) return;
  const { mode, uid, gid } = await fs.stat(directory);
  const fields = { mode: `0${mode.toString(8)}`, uid, gid };
  const commands = Object.entries(fields).map(([field, value]) => `set_inode_field <2> ${field} ${value}`);
  await changeByDebugfs(image, commands, signal);
}

/** Runs tools as root, or so that they see what root would. */
class FakeRoot {
  readonly #state: string;
  readonly isNeeded: boolean;
  #used = false;

  /** `state` keeps owners and devices from one run to the next; `real` shows things as they are */
  constructor(state: string, real: boolean) {
    this.#state = state;
    this.isNeeded = !real && process.getuid?.() !== 0;
  }

  async run(argv: [string, ...string[]], signal: AbortSignal | undefined, input?: string): Promise<string> {
    const options = { signal, ...(input === undefined ? {} : { input }) };
    if (!this.isNeeded) return (await runTool(argv, options)).stdout;
    const load = this.#used ? ["-i", this.#state] : [];
    const { stdout } = await runTool(["fakeroot", ...load, "-s", this.#state, "--", ...argv], options);
    this.#used = true;
    return stdout;
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / mebibyte) * mebibyte;
}

/** A tree may hold directories that its own owner may not enter. */
async function removeTree(path: string): Promise<void> {
  try {
    await fs.rm(path, { recursive: true, force: true });
  } catch {
    await runTool(["chmod", "-R", "u+rwx", path], { okCodes: [0, 1] });
    await fs.rm(path, { recursive: true, force: true });
  }
}
