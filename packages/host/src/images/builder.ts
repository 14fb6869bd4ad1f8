import { promises as fs } from "node:fs";
import { WorkfortError, type Progress } from "@workfort/contract";
import type { DiskBuilder } from "@workfort/core";
import { runTool } from "../process/run.ts";
import { buildExt4 } from "./ext4.ts";
import { inspectExt4 } from "./ext4-file.ts";

/** Root disks from what a user has: a directory, or an ext4 file as it is. */
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
      throw new WorkfortError(
        "invalid_image",
        `${source} cannot be read: ${error.code === "ENOENT" ? "there is no such file or directory" : error.message}`,
        { cause: error },
      );
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
  if (/No space left on device|ENOSPC|Could not allocate block|Disk quota exceeded/i.test(message))
    return new WorkfortError("storage_full", `the store is full: ${message}`, {
      cause: error,
      hint: "nexusctl storage status",
    });
  if (error instanceof Error && error.name === "AbortError") return error;
  return new WorkfortError("invalid_image", `${source} cannot become a master image: ${message}`, { cause: error });
}
