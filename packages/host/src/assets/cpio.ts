/**
 * Archives in the "newc" form of cpio, as the kernel reads for its initramfs:
 * https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
 * The same entries always give the same bytes.
 */
export type CpioEntry =
  | { kind: "directory"; path: string; mode: number }
  | { kind: "file"; path: string; mode: number; content: Buffer }
  | { kind: "characterDevice"; path: string; mode: number; major: number; minor: number };

const typeBits = { directory: 0o040000, file: 0o100000, characterDevice: 0o020000 } as const;

export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  entries.forEach((entry, index) => {
    const content = entry.kind === "file" ? entry.content : Buffer.alloc(0);
    const [major, minor] = entry.kind === "characterDevice" ? [entry.major, entry.minor] : [0, 0];
    parts.push(
      header({
        inode: index + 1,
        mode: typeBits[entry.kind] | entry.mode,
        links: entry.kind === "directory" ? 2 : 1,
        size: content.length,
        major,
        minor,
        name: entry.path,
      }),
      pad(content),
    );
  });
  parts.push(header({ inode: 0, mode: 0, links: 1, size: 0, major: 0, minor: 0, name: "TRAILER!!!" }));
  return Buffer.concat(parts);
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
  return pad(Buffer.concat([head, name]));
}

/** to a multiple of four bytes */
function pad(bytes: Buffer): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
