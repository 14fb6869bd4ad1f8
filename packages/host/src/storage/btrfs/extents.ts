import { promises as fs } from "node:fs";
import { ioctl } from "../../native/libc.ts";

/**
 * What a file holds on disk, by its extent map (FS_IOC_FIEMAP, linux/fiemap.h): quotas would need privilege.
 * An extent is shared when another file or snapshot refers to it too.
 */
const fiemapRequest = 0xc020660b; // FS_IOC_FIEMAP
const syncFlag = 1; // FIEMAP_FLAG_SYNC
const lastExtent = 0x1; // FIEMAP_EXTENT_LAST
const inlineData = 0x200; // FIEMAP_EXTENT_DATA_INLINE
const sharedExtent = 0x2000; // FIEMAP_EXTENT_SHARED
const headBytes = 32;
const extentBytes = 56;
const extentsPerCall = 2048;

export async function measureExtents(
  path: string,
): Promise<{ sizeBytes: number; sharedBytes: number; exclusiveBytes: number }> {
  const handle = await fs.open(path, "r");
  try {
    const { size } = await handle.stat();
    let shared = 0n;
    let exclusive = 0n;
    for await (const extent of readExtents(handle.fd, path)) {
      if ((extent.flags & sharedExtent) !== 0) shared += extent.length;
      else if ((extent.flags & inlineData) === 0) exclusive += extent.length;
    }
    return { sizeBytes: size, sharedBytes: Number(shared), exclusiveBytes: Number(exclusive) };
  } finally {
    await handle.close();
  }
}

interface Extent {
  logical: bigint;
  length: bigint;
  flags: number;
}

async function* readExtents(fd: number, path: string): AsyncGenerator<Extent> {
  let start = 0n;
  for (;;) {
    const map = Buffer.alloc(headBytes + extentsPerCall * extentBytes);
    map.writeBigUInt64LE(start, 0);
    map.writeBigUInt64LE(0xffff_ffff_ffff_ffffn - start, 8);
    map.writeUInt32LE(syncFlag, 16);
    map.writeUInt32LE(extentsPerCall, 24);
    await ioctl(fd, fiemapRequest, map, `reading the extent map of ${path}`);
    const count = map.readUInt32LE(20);
    for (let index = 0; index < count; index += 1) {
      const at = headBytes + index * extentBytes;
      const extent = {
        logical: map.readBigUInt64LE(at),
        length: map.readBigUInt64LE(at + 16),
        flags: map.readUInt32LE(at + 40),
      };
      yield extent;
      if ((extent.flags & lastExtent) !== 0) return;
      start = extent.logical + extent.length;
    }
    if (count === 0) return;
  }
}
