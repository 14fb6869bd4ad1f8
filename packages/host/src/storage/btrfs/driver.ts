import { promises as fs } from "node:fs";
import { join } from "node:path";
import { WorkfortError } from "@workfort/contract";
import { failpoint, type DiskKind, type StorageDriver } from "@workfort/core";
import type { Paths } from "../../paths.ts";
import { runTool } from "../../process/run.ts";
import { measureExtents } from "./extents.ts";
import { createSubvolume, deleteSubvolume, isSubvolume, setReadOnly, snapshotSubvolume } from "./ioctls.ts";
import { findMount, loopFileOf } from "../mounts.ts";

const diskNames: Record<DiskKind, string> = {
  images: "rootfs.ext4",
  workspaces: "rootfs.ext4",
  drives: "drive.ext4",
};
const idPrefixes: Record<DiskKind, string> = { images: "img_", workspaces: "ws_", drives: "drv_" };

/**
 * Disks as ext4 files in btrfs subvolumes: a master image is a read-only subvolume, a workspace a snapshot of it, a
 * data drive a subvolume of its own or a snapshot of another. Nothing here needs privilege.
 */
export class BtrfsDriver implements StorageDriver {
  readonly #paths: Paths;
  readonly #directory: string;

  constructor(paths: Paths, directory: string) {
    this.#paths = paths;
    this.#directory = directory;
  }

  /** Makes the directories the driver needs. */
  async prepare(): Promise<void> {
    for (const kind of ["images", "workspaces", "drives"] as const)
      await fs.mkdir(this.#paths.disks(kind), { recursive: true, mode: 0o700 });
  }

  async createImage(id: string, fill: (directory: string) => Promise<void>): Promise<void> {
    const path = this.#paths.disk("images", id);
    await explain(`image ${id}`, async () => {
      await createSubvolume(path);
      failpoint("storage.image.subvolume");
      await fill(path);
      await syncFile(this.diskPath("images", id));
      failpoint("storage.image.filled");
      await setReadOnly(path, true);
    });
  }

  async snapshot(imageId: string, workspaceId: string): Promise<void> {
    await explain(`workspace ${workspaceId}`, () =>
      snapshotSubvolume(this.#paths.disk("images", imageId), this.#paths.disk("workspaces", workspaceId)),
    );
  }

  async createDrive(id: string, fill: (path: string) => Promise<void>): Promise<void> {
    await explain(`drive ${id}`, async () => {
      await createSubvolume(this.#paths.disk("drives", id));
      failpoint("storage.drive.subvolume");
      await fill(this.diskPath("drives", id));
      await syncFile(this.diskPath("drives", id));
      failpoint("storage.drive.filled");
    });
  }

  async snapshotDrive(sourceId: string, id: string): Promise<void> {
    await explain(`drive ${id}`, () =>
      snapshotSubvolume(this.#paths.disk("drives", sourceId), this.#paths.disk("drives", id)),
    );
  }

  async replaceDrive(id: string, change: (path: string) => Promise<void>): Promise<void> {
    const path = this.diskPath("drives", id);
    const copy = replacementOf(path);
    await explain(`drive ${id}`, async () => {
      await fs.rm(copy, { force: true });
      await runTool(["cp", "--reflink=always", "--", path, copy]);
      failpoint("storage.drive.copied");
      await change(copy);
      await syncFile(copy);
      failpoint("storage.drive.changed");
      await fs.rename(copy, path);
      await syncDirectory(this.#paths.disk("drives", id));
    });
  }

  async dropReplacement(id: string): Promise<void> {
    await explain(`drive ${id}`, () => fs.rm(replacementOf(this.diskPath("drives", id)), { force: true }));
  }

  async size(kind: DiskKind, id: string): Promise<number> {
    return await explain(`${kind}/${id}`, async () => (await fs.stat(this.diskPath(kind, id))).size);
  }

  async delete(kind: DiskKind, id: string): Promise<void> {
    await explain(`${kind}/${id}`, () => deleteSubvolume(this.#paths.disk(kind, id)));
  }

  async exists(kind: DiskKind, id: string): Promise<boolean> {
    try {
      return (await isSubvolume(this.#paths.disk(kind, id))) && (await fs.stat(this.diskPath(kind, id))).isFile();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  diskPath(kind: DiskKind, id: string): string {
    return join(this.#paths.disk(kind, id), diskNames[kind]);
  }

  async usage(kind: DiskKind, id: string): Promise<{ sizeBytes: number; sharedBytes: number; exclusiveBytes: number }> {
    return await explain(`${kind}/${id}`, () => measureExtents(this.diskPath(kind, id)));
  }

  async space(): Promise<{
    directory: string;
    driver: "btrfs";
    totalBytes: number;
    freeBytes: number;
    loopFile: string | null;
  }> {
    const [found, mount] = await Promise.all([fs.statfs(this.#directory), findMount(this.#directory)]);
    return {
      directory: this.#directory,
      driver: "btrfs",
      totalBytes: found.blocks * found.bsize,
      freeBytes: found.bavail * found.bsize,
      loopFile: mount === null ? null : await loopFileOf(mount.source),
    };
  }

  async list(kind: DiskKind): Promise<string[]> {
    return (await fs.readdir(this.#paths.disks(kind))).map((name) => idPrefixes[kind] + name);
  }
}

/** what is to take the file's place */
function replacementOf(path: string): string {
  return `${path}.tmp`;
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await fs.open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Turns the system's error numbers into what a user can act on. */
async function explain<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WorkfortError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    const message = error instanceof Error ? error.message : String(error);
    if (code === "ENOSPC" || code === "EDQUOT" || /No space left on device/.test(message)) {
      throw new WorkfortError("storage_full", `the store is full: ${message}`, {
        cause: error,
        hint: "nexusctl storage status; delete workspaces, drives or images that are not needed",
      });
    }
    throw new WorkfortError("storage_unavailable", `the store failed at ${what}: ${message}`, {
      cause: error,
      hint: "nexusctl doctor",
    });
  }
}
