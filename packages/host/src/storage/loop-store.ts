import { randomUUID } from "node:crypto";
import { promises as fs } from "node:fs";
import { dirname } from "node:path";
import { WorkfortError } from "@workfort/contract";
import { readTextIfThere, writeAtomically } from "../files.ts";
import type { Paths } from "../paths.ts";
import { runTool } from "../process/run.ts";
import { btrfsMagic } from "./btrfs/ioctls.ts";
import { findMount, loopFileOf } from "./mounts.ts";
import { readRecord, writeMarks } from "./store-check.ts";

/**
 * A store in a file: btrfs on a loop device, mounted on the data directory, with a line in /etc/fstab that brings it
 * back after a reboot. Needs root; what it makes belongs to the user it is made for.
 *
 * Each step looks first whether it has been done, so a run that was broken off is completed by the next.
 */
const smallestBytes = 1024 ** 3;

export interface LoopStore {
  directory: string;
  file: string;
  sizeBytes: number;
  /** whether anything had to be done */
  changed: boolean;
}

export interface LoopStoreRequest {
  directory: string;
  /** null: the record's, or beside the directory */
  file: string | null;
  /** null: three quarters of what is free, at most 256 GiB; the file is sparse */
  sizeBytes: number | null;
  /** who may use the store */
  owner: { uid: number; gid: number };
  onProgress: (text: string) => void;
  /** the table of file systems that a reboot mounts, fstab(5) */
  fstab: string;
}

export async function initLoopStore(paths: Paths, request: LoopStoreRequest): Promise<LoopStore> {
  const { directory, onProgress } = request;
  const record = await readRecord(paths);
  const file = request.file ?? record?.loopFile ?? paths.loopFile;
  const mounted = await findMount(directory);
  if (mounted !== null && mounted.type === "btrfs") {
    const behind = await loopFileOf(mounted.source);
    if (record === null) await mark(paths, behind, request.owner);
    return {
      directory,
      file: behind ?? file,
      sizeBytes: (await fs.statfs(directory)).blocks * 4096,
      changed: record === null,
    };
  }
  await refuseHiding(directory);
  await makeOwned(directory, request.owner);
  if ((await fs.statfs(directory)).type === btrfsMagic && record === null && request.file === null) {
    await mark(paths, null, request.owner);
    return { directory, file: directory, sizeBytes: 0, changed: true };
  }
  const exists = (await fs.stat(file).catch(() => null)) !== null;
  if (record !== null && !exists) {
    throw new WorkfortError(
      "storage_unavailable",
      `the store's file ${file} is gone, but the records still belong to it`,
      { hint: `bring it back, or delete ${paths.storageRecord} to begin with an empty store` },
    );
  }
  if (!exists) {
    onProgress(`making a btrfs in ${file}`);
    await makeFile(file, request.sizeBytes ?? (await defaultSize(file)));
  }
  onProgress(`mounting it on ${directory}`);
  await writeFstabLine(request.fstab, file, directory);
  await runTool(["mount", "--fstab", request.fstab, directory], { timeoutMs: 60_000 });
  if (record === null) await mark(paths, file, request.owner);
  return { directory, file, sizeBytes: (await fs.stat(file)).size, changed: true };
}

/** Unmounts the store; what it holds stays in its file. */
export async function unmountStore(directory: string): Promise<boolean> {
  const mounted = await findMount(directory);
  if (mounted === null || (await loopFileOf(mounted.source)) === null) return false;
  await runTool(["umount", directory], { timeoutMs: 60_000 });
  return true;
}

async function mark(paths: Paths, loopFile: string | null, owner: { uid: number; gid: number }): Promise<void> {
  const found = await readTextIfThere(paths.storageMarker);
  await writeMarks(paths, { uuid: found?.trim() ?? randomUUID(), loopFile });
  for (const path of [
    dirname(paths.storageMarker),
    paths.storageMarker,
    dirname(paths.storageRecord),
    paths.storageRecord,
  ])
    await fs.chown(path, owner.uid, owner.gid);
}

/** Files under a mount point would vanish from sight. */
async function refuseHiding(directory: string): Promise<void> {
  const names = await fs.readdir(directory).catch(() => []);
  if (names.length === 0) return;
  if ((await fs.statfs(directory)).type === btrfsMagic) return;
  throw new WorkfortError(
    "storage_unavailable",
    `${directory} is not empty (${names.slice(0, 3).join(", ")}…), and a mount would hide what is there`,
    { hint: "move it away first" },
  );
}

async function makeOwned(directory: string, owner: { uid: number; gid: number }): Promise<void> {
  const first = await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  // every directory that was just made, from the first one down
  for (let path = directory; path.length >= first.length; path = dirname(path))
    await fs.chown(path, owner.uid, owner.gid);
}

async function defaultSize(file: string): Promise<number> {
  const { bavail, bsize } = await fs.statfs(dirname(file));
  return Math.min(256 * 1024 ** 3, Math.floor((bavail * bsize * 0.75) / 1024 ** 2) * 1024 ** 2);
}

/** Complete or not at all. */
async function makeFile(file: string, sizeBytes: number): Promise<void> {
  if (sizeBytes < smallestBytes)
    throw new WorkfortError(
      "storage_full",
      `a store of ${Math.floor(sizeBytes / 1024 ** 2)} MiB is too small; it needs at least ${smallestBytes / 1024 ** 2} MiB`,
      { hint: "free some space, or name a file on another disk: --file PATH" },
    );
  const temporary = `${file}.tmp`;
  try {
    await fs.writeFile(temporary, "", { mode: 0o600 });
    await fs.truncate(temporary, sizeBytes);
    await runTool(["mkfs.btrfs", "--quiet", "--label", "workfort", temporary], { timeoutMs: 120_000 });
    await fs.rename(temporary, file);
  } finally {
    await fs.rm(temporary, { force: true });
  }
}

/** fstab(5): spaces are written in octal */
async function writeFstabLine(fstab: string, file: string, directory: string): Promise<void> {
  const escape = (path: string): string =>
    path.replace(/[\\ \t\n]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const line = `${escape(file)} ${escape(directory)} btrfs loop,noatime,discard=async,user_subvol_rm_allowed,nofail 0 0`;
  const text = (await readTextIfThere(fstab)) ?? "";
  const others = text.split("\n").filter((existing) => existing.split(/\s+/)[1] !== escape(directory));
  await writeAtomically(
    fstab,
    `${[...others.filter((existing, index) => existing !== "" || index < others.length - 1), line].join("\n")}\n`,
    0o644,
  );
}
