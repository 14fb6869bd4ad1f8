import { promises as fs } from "node:fs";
import { join } from "node:path";
import { buildExt4 } from "../images/ext4.ts";
import { readTextIfThere, writeAtomically } from "../files.ts";
import { lockDirectory } from "./directory-lock.ts";
import { bootstrapDebian } from "./debian-rootfs.ts";
import { fetchDebianKernel, type FetchOptions } from "./debian-kernel.ts";

/**
 * A kernel and a root filesystem from this machine's package sources, kept in a cache that every instance and the
 * tests share. What is there already is used as it is.
 */
const rootfsSizeBytes = 4 * 1024 ** 3; // sparse: room for real work costs nothing until it is used

export interface PreparedAssets {
  /** holds `vmlinux`, `config`, `modules/` and `manifest.json`; its name is the kernel's version */
  kernelDirectory: string;
  /** ext4 file */
  rootfsImage: string;
}

export async function prepareAssets(cacheDirectory: string, options: FetchOptions): Promise<PreparedAssets> {
  const ready = await findPrepared(cacheDirectory);
  if (ready !== null) return ready;
  await fs.mkdir(cacheDirectory, { recursive: true });
  const unlock = await lockDirectory(cacheDirectory, options);
  try {
    await removeLeftovers(cacheDirectory);
    const kernelDirectory = (await findKernel(cacheDirectory)) ?? (await prepareKernel(cacheDirectory, options));
    const rootfsImage = (await findRootfs(cacheDirectory)) ?? (await prepareRootfs(cacheDirectory, options));
    return { kernelDirectory, rootfsImage };
  } finally {
    await unlock();
  }
}

async function findPrepared(cache: string): Promise<PreparedAssets | null> {
  const [kernelDirectory, rootfsImage] = await Promise.all([findKernel(cache), findRootfs(cache)]);
  return kernelDirectory === null || rootfsImage === null ? null : { kernelDirectory, rootfsImage };
}

async function findKernel(cache: string): Promise<string | null> {
  const names = await fs.readdir(join(cache, "kernels")).catch(() => []);
  const complete = names
    .filter((name) => !name.endsWith(".tmp"))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const newest = complete.at(-1);
  return newest === undefined ? null : join(cache, "kernels", newest);
}

async function findRootfs(cache: string): Promise<string | null> {
  const path = join(cache, "rootfs", "debian.ext4");
  return (await readTextIfThere(`${path}.json`)) === null ? null : path;
}

async function prepareKernel(cache: string, options: FetchOptions): Promise<string> {
  const fetched = join(cache, "kernels", "fetched.tmp");
  await fs.mkdir(join(cache, "kernels"), { recursive: true });
  const { version } = await fetchDebianKernel(fetched, options);
  const directory = join(cache, "kernels", version);
  await fs.rm(directory, { recursive: true, force: true });
  await fs.rename(fetched, directory);
  return directory;
}

async function prepareRootfs(cache: string, options: FetchOptions): Promise<string> {
  const path = join(cache, "rootfs", "debian.ext4");
  const tar = join(cache, "rootfs", "debian.tar.tmp");
  await fs.mkdir(join(cache, "rootfs"), { recursive: true });
  try {
    await bootstrapDebian(tar, options);
    options.onProgress("making the ext4 image");
    const built = await buildExt4({
      source: { tar },
      target: path,
      sizeBytes: rootfsSizeBytes,
      label: "workfort",
      signal: options.signal,
    });
    await writeAtomically(`${path}.json`, `${JSON.stringify({ madeAt: new Date().toISOString(), ...built })}\n`, 0o644);
    return path;
  } finally {
    await fs.rm(tar, { force: true });
  }
}

/** what a killed run left; nobody else is at work, since the lock is ours */
async function removeLeftovers(cache: string): Promise<void> {
  for (const part of ["kernels", "rootfs"]) {
    for (const name of await fs.readdir(join(cache, part)).catch(() => [])) {
      if (name.includes(".tmp")) await fs.rm(join(cache, part, name), { recursive: true, force: true });
    }
  }
}
