import { constants, promises as fs, type Stats } from "node:fs";

/** Writing a tree of this host as a tar in GNU's format: files, directories, symbolic and hard links. */

const blockBytes = 512;
const pieceBytes = 256 * 1024;
const nameBytes = 100;
const slash = Buffer.from("/");
const rootName = Buffer.from("./");

/** what a walk tells on its way */
export interface Packed {
  files: number;
  directories: number;
  links: number;
  leftOut: string[];
}

/** Packs a directory; its entries' names are relative to it. */
export async function* packTree(root: string, packed: Packed): AsyncGenerator<Buffer, void, undefined> {
  yield* gathered(new Walk(packed).directory(Buffer.from(root), rootName));
}

/** Joins small pieces. */
async function* gathered(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    held.push(piece);
    size += piece.length;
    if (size < pieceBytes) continue;
    yield held.length === 1 ? piece : Buffer.concat(held);
    held = [];
    size = 0;
  }
  yield Buffer.concat([...held, Buffer.alloc(2 * blockBytes)]);
}

class Walk {
  readonly #packed: Packed;
  /** device and inode of files with several names, and the first of these */
  readonly #linked = new Map<string, Buffer>();

  constructor(packed: Packed) {
    this.#packed = packed;
  }

  /** `name` ends with a slash. */
  async *directory(path: Buffer, name: Buffer): AsyncGenerator<Buffer, void, undefined> {
    yield* header(name, "5", await fs.stat(path), 0);
    const isRoot = name.equals(rootName);
    if (!isRoot) this.#packed.directories += 1;
    const above = isRoot ? Buffer.alloc(0) : name;
    for (const entry of (await fs.readdir(path, { encoding: "buffer" })).toSorted((a, b) => a.compare(b)))
      yield* this.#entry(Buffer.concat([path, slash, entry]), Buffer.concat([above, entry]));
  }

  async *#entry(path: Buffer, name: Buffer): AsyncGenerator<Buffer, void, undefined> {
    const found = await fs.lstat(path);
    if (found.isDirectory()) yield* this.directory(path, Buffer.concat([name, slash]));
    else if (found.isSymbolicLink()) {
      yield* header(name, "2", found, 0, await fs.readlink(path, { encoding: "buffer" }));
      this.#packed.links += 1;
    } else if (found.isFile()) yield* this.#file(path, name, found);
    else this.#packed.leftOut.push(`${name.toString()}: a pipe, a socket or a device`);
  }

  async *#file(path: Buffer, name: Buffer, found: Stats): AsyncGenerator<Buffer, void, undefined> {
    const key = `${found.dev}:${found.ino}`;
    const first = found.nlink > 1 ? this.#linked.get(key) : undefined;
    if (first !== undefined) {
      yield* header(name, "1", found, 0, first);
      this.#packed.links += 1;
      return;
    }
    if (found.nlink > 1) this.#linked.set(key, name);
    await using file = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const opened = await file.stat();
    yield* header(name, "0", opened, opened.size);
    for (let left = opened.size; left > 0;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(left, pieceBytes)), 0);
      if (bytesRead === 0) throw new Error(`${path.toString()} became shorter while it was read`);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    yield padding(opened.size);
    this.#packed.files += 1;
  }
}

function* header(name: Buffer, kind: string, found: Stats, size: number, target?: Buffer): Generator<Buffer> {
  if (target !== undefined && target.length > nameBytes) yield* long("K", target);
  if (name.length > nameBytes) yield* long("L", name);
  yield block(name, kind, size, {
    mode: found.mode & 0o7777,
    uid: found.uid,
    gid: found.gid,
    modified: Math.max(0, Math.floor(found.mtimeMs / 1000)),
    ...(target === undefined ? {} : { target }),
  });
}

/** A name that a header has no room for goes before it. */
function* long(kind: string, name: Buffer): Generator<Buffer> {
  const content = Buffer.concat([name, Buffer.alloc(1)]);
  yield block(Buffer.from("././@LongLink"), kind, content.length, { mode: 0o644, uid: 0, gid: 0, modified: 0 });
  yield content;
  yield padding(content.length);
}

function block(
  name: Buffer,
  kind: string,
  size: number,
  about: { mode: number; uid: number; gid: number; modified: number; target?: Buffer },
): Buffer {
  const header = Buffer.alloc(blockBytes);
  name.copy(header, 0, 0, nameBytes);
  number(about.mode, header.subarray(100, 108));
  number(about.uid, header.subarray(108, 116));
  number(about.gid, header.subarray(116, 124));
  number(size, header.subarray(124, 136));
  number(about.modified, header.subarray(136, 148));
  header.write("        ", 148);
  header.write(kind, 156);
  about.target?.copy(header, 157, 0, nameBytes);
  header.write("ustar  \0", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** Octal text, or big-endian binary where that has no room. */
function number(value: number, field: Buffer): void {
  const text = value.toString(8);
  if (text.length < field.length) {
    field.write(text.padStart(field.length - 1, "0"));
    return;
  }
  field.write(value.toString(16).padStart(2 * field.length, "0"), "hex");
  field[0] = 0x80;
}

function padding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}
