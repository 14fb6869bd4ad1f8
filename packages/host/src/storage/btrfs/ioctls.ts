import { constants, promises as fs } from "node:fs";
import { basename, dirname } from "node:path";
import { ioctl } from "../../native/libc.ts";

/**
 * btrfs by ioctl: a snapshot costs half of what the `btrfs` program costs, and errors come as numbers.
 * Request numbers and layouts: linux/btrfs.h; struct btrfs_ioctl_vol_args_v2 has 4096 bytes.
 */
const subvolumeCreate = 0x50009418; // BTRFS_IOC_SUBVOL_CREATE_V2
const snapshotCreate = 0x50009417; // BTRFS_IOC_SNAP_CREATE_V2
const setFlags = 0x4008941a; // BTRFS_IOC_SUBVOL_SETFLAGS
const readOnlyFlag = 2n; // BTRFS_SUBVOL_RDONLY
const nameOffset = 56;
/** inode number of every subvolume's root */
const subvolumeInode = 256n;
/** statfs f_type of btrfs */
export const btrfsMagic = 0x9123683e;

export async function createSubvolume(path: string): Promise<void> {
  await withDirectory(dirname(path), (parent) =>
    ioctl(parent, subvolumeCreate, volumeArguments(-1, basename(path)), `making the subvolume ${path}`),
  );
}

/** Makes a writable snapshot; `source` must be the root of a subvolume. */
export async function snapshotSubvolume(source: string, target: string): Promise<void> {
  await withDirectory(source, (from) =>
    withDirectory(dirname(target), (parent) =>
      ioctl(
        parent,
        snapshotCreate,
        volumeArguments(from, basename(target)),
        `making a snapshot of ${source} at ${target}`,
      ),
    ),
  );
}

export async function setReadOnly(path: string, readOnly: boolean): Promise<void> {
  const flags = Buffer.alloc(8);
  flags.writeBigUInt64LE(readOnly ? readOnlyFlag : 0n);
  await withDirectory(path, (fd) =>
    ioctl(fd, setFlags, flags, `making ${path} ${readOnly ? "read-only" : "writable"}`),
  );
}

export async function isSubvolume(path: string): Promise<boolean> {
  const found = await fs.lstat(path, { bigint: true });
  return found.isDirectory() && found.ino === subvolumeInode;
}

/**
 * Deletes a subvolume or directory without privilege: emptied, a subvolume goes by rmdir (Linux 4.18), where the
 * destroy ioctl would need CAP_SYS_ADMIN. Nothing there is fine.
 */
export async function deleteSubvolume(path: string): Promise<void> {
  try {
    if (await isSubvolume(path)) await setReadOnly(path, false);
    for (const entry of await fs.readdir(path)) await fs.rm(`${path}/${entry}`, { recursive: true, force: true });
    await fs.rmdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function volumeArguments(fd: number, name: string): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeBigInt64LE(BigInt(fd), 0);
  if (Buffer.byteLength(name) > 255) throw new Error(`the name ${name} is longer than 255 bytes`);
  bytes.write(name, nameOffset);
  return bytes;
}

async function withDirectory<T>(path: string, use: (fd: number) => Promise<T>): Promise<T> {
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await use(handle.fd);
  } finally {
    await handle.close();
  }
}
