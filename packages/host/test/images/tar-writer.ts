/** Writes tar archives with everything a root file system may hold, whoever runs the test. */
export interface Entry {
  path: string;
  kind: "file" | "directory" | "symlink" | "hardlink" | "character" | "block" | "fifo";
  mode?: number;
  uid?: number;
  gid?: number;
  /** Unix seconds */
  mtime?: number;
  content?: Buffer;
  link?: string;
  device?: [major: number, minor: number];
  attributes?: Record<string, Buffer>;
}

const flags = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
} as const;

export function writeTar(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const records = Object.entries(entry.attributes ?? {}).map(([name, value]) =>
      record(`SCHILY.xattr.${name}`, value),
    );
    if (Buffer.byteLength(entry.path, "latin1") > 99) records.push(record("path", Buffer.from(entry.path, "latin1")));
    if ((entry.link ?? "").length > 99) records.push(record("linkpath", Buffer.from(entry.link ?? "", "latin1")));
    if (records.length > 0) {
      const body = Buffer.concat(records);
      parts.push(header({ path: "pax", kind: "file" }, "x", body.length), pad(body));
    }
    const content = entry.content ?? Buffer.alloc(0);
    parts.push(header(entry, flags[entry.kind], content.length), pad(content));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

function record(key: string, value: Buffer): Buffer {
  const tail = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = tail.length + 1;
  while (String(length).length + tail.length !== length) length = String(length).length + tail.length;
  return Buffer.concat([Buffer.from(String(length)), tail]);
}

function header(entry: Entry, flag: string, size: number): Buffer {
  const block = Buffer.alloc(512);
  block.write(entry.path.slice(0, 99), 0, "latin1");
  const octal = (value: number, at: number, width: number): void =>
    void block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  octal(entry.mode ?? (entry.kind === "directory" ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(entry.mtime ?? 1_000_000_000, 136, 12);
  block.write("        ", 148, "latin1");
  block.write(flag, 156, "latin1");
  block.write((entry.link ?? "").slice(0, 99), 157, "latin1");
  block.write("ustar\0" + "00", 257, "latin1");
  octal(entry.device?.[0] ?? 0, 329, 8);
  octal(entry.device?.[1] ?? 0, 337, 8);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
    "latin1",
  );
  return block;
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}
