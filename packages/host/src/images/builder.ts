import { promises as fs } from "node:fs";
import { WorkfortError, type Progress } from "@workfort/contract";
import type { DiskBuilder } from "@workfort/core";
import { runTool, ToolError } from "../process/run.ts";
import { buildExt4 } from "./ext4.ts";
import { inspectExt4, needsReplay } from "./ext4-file.ts";

/** a disk that a guest has written is hostile: what checks it has to end, ms */
const checkBoundMs = 600_000;

/** Root disks from what a user has: a directory, or an ext4 file as it is. Data drives: empty, or from a directory. */
export class Ext4Builder implements DiskBuilder {
  async build(
    source: string,
    target: string,
    options: {
      sizeBytes?: number | undefined;
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<{ sizeBytes: number; usedBytes: number }> {
    const found = await fs.stat(source).catch((error: NodeJS.ErrnoException) => {
      throw unreadable(source, error);
    });
    try {
      if (found.isDirectory()) await fromDirectory(source, target, options);
      else if (found.isFile()) await fromFile(source, target, options);
      else throw new WorkfortError("invalid_image", `${source} is neither a directory nor a file`);
    } catch (error) {
      throw explain(error, source);
    }
    return await inspectExt4(target);
  }

  async buildDrive(
    directory: string | null,
    target: string,
    options: {
      sizeBytes?: number | undefined;
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: Progress) => void) | undefined;
    },
  ): Promise<{ sizeBytes: number }> {
    const { sizeBytes, signal } = options;
    try {
      const source = directory === null ? {} : { directory: await realDirectory(directory) };
      options.onProgress?.({ step: "making an ext4 disk" });
      return await buildExt4({ source, target, keepOwners: true, sizeBytes, signal });
    } catch (error) {
      throw explain(error, directory ?? "an empty drive");
    }
  }

  async grow(path: string, sizeBytes: number, signal?: AbortSignal): Promise<void> {
    try {
      await fs.truncate(path, sizeBytes);
      // resize2fs wants a disk that has just been checked; 1: errors were corrected
      await runTool(["e2fsck", "-f", "-p", path], { signal, timeoutMs: checkBoundMs, okCodes: [0, 1] });
      await runTool(["resize2fs", path], { signal, timeoutMs: checkBoundMs });
    } catch (error) {
      throw explainUnsound(error, "cannot be made larger");
    }
  }

  async replayJournal(path: string): Promise<void> {
    if (!(await needsReplay(path))) return;
    try {
      await runTool(["e2fsck", "-p", path], { timeoutMs: checkBoundMs, okCodes: [0, 1] });
    } catch (error) {
      throw explainUnsound(error, "was not cleanly unmounted, and its journal cannot be replayed");
    }
  }
}

async function realDirectory(path: string): Promise<string> {
  const real = await fs.realpath(path).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, error);
  });
  if ((await fs.stat(real)).isDirectory()) return real;
  throw new WorkfortError("invalid_image", `${path} is not a directory`);
}

function unreadable(path: string, error: NodeJS.ErrnoException): WorkfortError {
  const why = error.code === "ENOENT" ? "there is no such file or directory" : error.message;
  return new WorkfortError("invalid_image", `${path} cannot be read: ${why}`, { cause: error });
}

/** Of a tool that failed on a disk of a guest's, it is the disk that is at fault. */
function explainUnsound(error: unknown, what: string): unknown {
  if (!(error instanceof ToolError) || isFull(error.message)) return explain(error, "the drive");
  return new WorkfortError("invalid_image", `the drive ${what}: ${error.message}`, {
    cause: error,
    hint: "attach it without --mount, and mend it in the VM with e2fsck",
  });
}

type Options = Parameters<Ext4Builder["build"]>[2];

async function fromDirectory(source: string, target: string, options: Options): Promise<void> {
  options.onProgress?.({ step: "making an ext4 disk" });
  await buildExt4({ source: { directory: source }, target, sizeBytes: options.sizeBytes, signal: options.signal });
}

async function fromFile(source: string, target: string, options: Options): Promise<void> {
  if (options.sizeBytes !== undefined)
    throw new WorkfortError(
      "invalid_image",
      `${source} is a file and is taken as it is; a size can be given for a directory only`,
    );
  await inspectExt4(source);
  options.onProgress?.({ step: "copying the disk" });
  await runTool(["cp", "--sparse=always", "--reflink=auto", "--", source, target], { signal: options.signal });
}

/** What is the store's fault goes on as it is; the rest means that this source cannot become a disk. */
function explain(error: unknown, source: string): unknown {
  if (error instanceof WorkfortError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (isFull(message))
    return new WorkfortError("storage_full", `the store is full: ${message}`, {
      cause: error,
      hint: "nexusctl storage status",
    });
  if (error instanceof Error && error.name === "AbortError") return error;
  return new WorkfortError("invalid_image", `${source} cannot become a disk: ${message}`, { cause: error });
}

function isFull(message: string): boolean {
  return /No space left on device|ENOSPC|Could not allocate block|Disk quota exceeded/i.test(message);
}
