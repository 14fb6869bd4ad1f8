import { promises as fs } from "node:fs";
import { WorkfortError } from "@workfort/contract";

/** The superblock of an ext file system: https://docs.kernel.org/filesystems/ext4/globals.html#super-block */
const superblockOffset = 1024;
const magic = 0xef53;
const hasErrors = 0x2;
const cleanlyUnmounted = 0x1;
const needsRecovery = 0x4;
const has64Bit = 0x80;

export interface Ext4Facts {
  sizeBytes: number;
  usedBytes: number;
}

/** Refuses with `invalid_image` what is no ext4 file that can be booted from as it is. */
export async function inspectExt4(path: string): Promise<Ext4Facts> {
  const handle = await fs.open(path, "r");
  try {
    const block = Buffer.alloc(1024);
    const { bytesRead } = await handle.read(block, 0, block.length, superblockOffset);
    if (bytesRead < block.length || block.readUInt16LE(0x38) !== magic)
      throw refuse(path, "it is no ext4 file system", null);
    const blockBytes = 1024 << block.readUInt32LE(0x18);
    const is64Bit = (block.readUInt32LE(0x60) & has64Bit) !== 0;
    const blocks = block.readUInt32LE(0x4) + (is64Bit ? block.readUInt32LE(0x150) * 2 ** 32 : 0);
    const free = block.readUInt32LE(0xc) + (is64Bit ? block.readUInt32LE(0x158) * 2 ** 32 : 0);
    const sizeBytes = blocks * blockBytes;
    const { size } = await handle.stat();
    if (size < sizeBytes)
      throw refuse(path, `it is truncated: the file system has ${sizeBytes} bytes, the file ${size}`, null);
    const state = block.readUInt16LE(0x3a);
    if ((block.readUInt32LE(0x60) & needsRecovery) !== 0)
      throw refuse(
        path,
        "its journal must be replayed first (it was not cleanly unmounted, or is in use)",
        `e2fsck -fy ${path}`,
      );
    if ((state & hasErrors) !== 0 || (state & cleanlyUnmounted) === 0)
      throw refuse(path, "its file system is marked as damaged", `e2fsck -fy ${path}`);
    return { sizeBytes, usedBytes: (blocks - free) * blockBytes };
  } finally {
    await handle.close();
  }
}

/** Whether it is an ext file system whose journal holds what has not been written in its place. */
export async function needsReplay(path: string): Promise<boolean> {
  const handle = await fs.open(path, "r");
  try {
    const block = Buffer.alloc(1024);
    const { bytesRead } = await handle.read(block, 0, block.length, superblockOffset);
    return (
      bytesRead === block.length &&
      block.readUInt16LE(0x38) === magic &&
      (block.readUInt32LE(0x60) & needsRecovery) !== 0
    );
  } finally {
    await handle.close();
  }
}

function refuse(path: string, why: string, mend: string | null): WorkfortError {
  return new WorkfortError(
    "invalid_image",
    `${path} cannot become a disk: ${why}`,
    mend === null ? {} : { hint: mend },
  );
}
