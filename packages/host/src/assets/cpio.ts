import { createReadStream, promises as fs } from "node:fs";

/**
 * Archives in the "newc" form of cpio, as the kernel reads for its initramfs:
 * https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
 * The same entries always give the same bytes. Files are read as they are written, never wholly in memory.
 */
export type CpioEntry =
  | { kind: "directory"; path: string; mode: number }
  | { kind: "file"; path: string; mode: number; source: string }
  | { kind: "characterDevice"; path: string; mode: number; major: number; minor: number };

const typeBits = { directory: 0o040000, file: 0o100000, characterDevice: 0o020000 } as const;

/** The archive, piece by piece; throws where a file changes its size meanwhile. */
export async function* cpioOf(entries: readonly CpioEntry[]): AsyncGenerator<Buffer> {
  for (const [index, entry] of entries.entries()) {
    const size = entry.kind === "file" ? (await fs.stat(entry.source)).size : 0;
    const [major, minor] = entry.kind === "characterDevice" ? [entry.major, entry.minor] : [0, 0];
    yield header({
      inode: index + 1,
      mode: typeBits[entry.kind] | entry.mode,
      links: entry.kind === "directory" ? 2 : 1,
      size,
      major,
      minor,
      name: entry.path,
    });
    if (entry.kind === "file") yield* contentOf(entry.source, size);
  }
  yield header({ inode: 0, mode: 0, links: 1, size: 0, major: 0, minor: 0, name: "TRAILER!!!" });
}

async function* contentOf(path: string, size: number): AsyncGenerator<Buffer> {
  let written = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    written += piece.length;
    yield piece;
  }
  if (written !== size) throw new Error(`${path} changed while it was read: it had ${size} bytes, then ${written}`);
  yield padding(size);
}

function header(fields: {
  inode: number;
  mode: number;
  links: number;
  size: number;
  major: number;
  minor: number;
  name: string;
}): Buffer {
  const name = Buffer.from(`${fields.name}\0`);
  const numbers = [
    fields.inode,
    fields.mode,
    0,
    0,
    fields.links,
    0,
    fields.size,
    0,
    0,
    fields.major,
    fields.minor,
    name.length,
    0,
  ];
  const head = Buffer.from(`070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`);
  return Buffer.concat([head, name, padding(head.length + name.length)]);
}

/** what is missing to a multiple of four bytes */
function padding(size: number): Buffer {
  return Buffer.alloc((4 - (size % 4)) % 4);
}
