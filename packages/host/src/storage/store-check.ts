import { randomUUID } from "node:crypto";
import { promises as fs } from "node:fs";
import { WorkfortError } from "@workfort/contract";
import * as z from "zod";
import { readTextIfThere, writeAtomically } from "../files.ts";
import type { Paths } from "../paths.ts";
import { btrfsMagic } from "./btrfs/ioctls.ts";

/**
 * Whether the data directory is the store it should be.
 *
 * The store carries a marker with its uuid, and the state directory remembers that uuid. A directory without the
 * marker is a store that is not mounted: an empty directory must never pass for an empty store.
 */
const StorageRecord = z.object({ uuid: z.uuid(), loopFile: z.string().nullable() });
export type StorageRecord = z.infer<typeof StorageRecord>;

/** Throws `storage_unavailable` unless the store is there, on btrfs and the one the records belong to. Marks a new one. */
export async function checkStore(paths: Paths, directory: string): Promise<void> {
  const record = await readRecord(paths);
  const marker = await readText(paths.storageMarker);
  if (record !== null && marker === null) {
    throw new WorkfortError(
      "storage_unavailable",
      `the store is not mounted: ${directory} has no marker of store ${record.uuid}${record.loopFile === null ? "" : `, which lies in ${record.loopFile}`}`,
      {
        hint:
          record.loopFile === null
            ? `mount its file system on ${directory}, then start again`
            : "sudo nexusctl storage init   (mounts it again and keeps what it holds)",
      },
    );
  }
  if (record !== null && marker !== null && marker.trim() !== record.uuid) {
    throw new WorkfortError(
      "storage_unavailable",
      `${directory} holds store ${marker.trim().slice(0, 36)}, but the records belong to store ${record.uuid}`,
      {
        hint: "mount the right file system, or move the state directory aside to start with fresh records",
      },
    );
  }
  await fs.mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw unusable(directory, error);
  });
  if ((await fs.statfs(directory)).type !== btrfsMagic) {
    throw new WorkfortError("storage_unavailable", `${directory} is not on btrfs`, {
      hint: "sudo nexusctl storage init   (makes a btrfs in a file and mounts it there)",
    });
  }
  if (record === null) await writeMarks(paths, { uuid: marker?.trim() ?? randomUUID(), loopFile: null });
  await fs.access(directory, fs.constants.W_OK).catch((error: unknown) => {
    throw unusable(directory, error);
  });
}

/** Writes the marker into the store and remembers it among the records. */
export async function writeMarks(paths: Paths, record: StorageRecord): Promise<void> {
  try {
    await writeAtomically(paths.storageMarker, `${record.uuid}\n`, 0o644);
    await writeAtomically(paths.storageRecord, `${JSON.stringify(record)}\n`);
  } catch (error) {
    throw unusable(paths.storageMarker, error);
  }
}

export async function readRecord(paths: Paths): Promise<StorageRecord | null> {
  const text = await readText(paths.storageRecord);
  if (text === null) return null;
  const parsed = StorageRecord.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new WorkfortError("storage_unavailable", `${paths.storageRecord} is damaged`, {
    hint: `write the store's uuid into it again, or delete it if the store is empty`,
  });
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readTextIfThere(path);
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): WorkfortError {
  const why = error instanceof Error ? error.message : String(error);
  return new WorkfortError("storage_unavailable", `the store cannot be used: ${why}`, {
    cause: error,
    hint:
      (error as NodeJS.ErrnoException).code === "EROFS"
        ? "sudo dmesg | grep -i btrfs   (a file system that meets an error becomes read-only and says why there)"
        : `check owner and permissions of ${path}`,
  });
}
