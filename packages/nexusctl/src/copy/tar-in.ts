import { Refusal } from "../failures.ts";

/**
 * Reading a tar that a guest made, which may hold anything: headers are bounded and their sums checked. Knows ustar,
 * the extended headers of POSIX (pax) and GNU's long names.
 */
export interface ArchiveEntry {
  name: Buffer;
  kind: "file" | "directory" | "symlink" | "hardlink" | "other";
  mode: number;
  /** Unix seconds */
  modified: number;
  size: number;
  /** what a link leads to */
  target: Buffer;
  /** to be read before the next entry is asked for; what is left is passed over */
  content: AsyncGenerator<Buffer, void, undefined>;
}

export class ArchiveError extends Refusal {
  override readonly name = "ArchiveError";
}

const blockBytes = 512;
/** of one extended header */
const largestHeaderBytes = 1024 * 1024;
const longNameKinds = new Set(["L", "K"]);

const kinds: Readonly<Record<string, ArchiveEntry["kind"]>> = {
  "\0": "file",
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "5": "directory",
  "7": "file",
};

/** Entries in their order; `onGlobal` is given each record of a global header. */
export async function* readArchive(
  source: AsyncIterable<Uint8Array>,
  onGlobal: (key: string, value: string) => void,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const pieces = new Pieces(source);
  let extended = new Map<string, Buffer>();
  for (;;) {
    const header = await pieces.take(blockBytes);
    if (header.every((byte) => byte === 0)) return await pieces.finish();
    checkSum(header);
    const kind = String.fromCharCode(header[156] ?? 0);
    const size = numberOf(extended.get("size")) ?? readNumber(header.subarray(124, 136));
    if (kind === "x" || kind === "g" || longNameKinds.has(kind)) {
      if (size > largestHeaderBytes) throw new ArchiveError(`the archive has an extended header of ${size} bytes`);
      const content = (await pieces.take(padded(size))).subarray(0, size);
      if (kind === "g") for (const [key, value] of recordsOf(content)) onGlobal(key, value.toString("utf8"));
      else if (kind === "x") extended = new Map([...extended, ...recordsOf(content)]);
      else extended.set(kind === "L" ? "path" : "linkpath", untilNul(content));
      continue;
    }
    const name = extended.get("path") ?? plainName(header);
    const known = kinds[kind] ?? "other";
    const hasContent = known === "file" || known === "other";
    const content = pieces.content(hasContent ? size : 0);
    yield {
      name,
      kind: known === "file" && name.at(-1) === 0x2f ? "directory" : known,
      mode: readNumber(header.subarray(100, 108)),
      modified: readNumber(header.subarray(136, 148)),
      size,
      target: extended.get("linkpath") ?? untilNul(header.subarray(157, 257)),
      content,
    };
    for await (const _ of content); // what its reader has left
    extended = new Map();
  }
}

function checkSum(header: Buffer): void {
  let sum = 8 * 0x20;
  for (let at = 0; at < blockBytes; at += 1) if (at < 148 || at >= 156) sum += header[at] ?? 0;
  if (readNumber(header.subarray(148, 156)) !== sum) throw new ArchiveError("the archive has a damaged header");
}

/** octal text, or big-endian binary with the first bit set (GNU) */
function readNumber(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    const number = Number(BigInt(`0x${field.subarray(1).toString("hex")}`));
    if (Number.isSafeInteger(number) && field[0] === 0x80) return number;
    throw new ArchiveError("the archive has a number beyond all bounds");
  }
  const text = untilNul(field).toString("latin1").trim();
  if (!/^[0-7]*$/.test(text)) throw new ArchiveError("the archive has a number that is none");
  return Number.parseInt(text || "0", 8);
}

function numberOf(text: Buffer | undefined): number | null {
  if (text === undefined) return null;
  const number = Number(text.toString("latin1"));
  if (!Number.isSafeInteger(number) || number < 0) throw new ArchiveError("the archive has a size that is none");
  return number;
}

/** `length key=value\n`, where length counts the whole record */
function recordsOf(content: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(0x20, at);
    const equals = content.indexOf(0x3d, space);
    const length = Number(content.toString("latin1", at, Math.max(at, space)));
    if (space < 0 || equals < 0 || !Number.isSafeInteger(length) || length < 4 || at + length > content.length)
      throw new ArchiveError("the archive has a damaged extended header");
    records.set(
      content.toString("utf8", space + 1, equals),
      Buffer.from(content.subarray(equals + 1, at + length - 1)),
    );
    at += length;
  }
  return records;
}

function plainName(header: Buffer): Buffer {
  const name = untilNul(header.subarray(0, 100));
  const isPosix = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isPosix ? untilNul(header.subarray(345, 500)) : Buffer.alloc(0);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end));
}

function padded(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}

/** Cuts a stream into pieces of wanted sizes. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    const chunks = [];
    for (let left = length; left > 0;) {
      const chunk = await this.#next(left);
      chunks.push(chunk);
      left -= chunk.length;
    }
    return chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
  }

  /** The content of an entry, and its padding after it. */
  async *content(size: number): AsyncGenerator<Buffer, void, undefined> {
    let left = size;
    try {
      while (left > 0) {
        const chunk = await this.#next(left);
        left -= chunk.length;
        yield chunk;
      }
    } finally {
      await this.#skip(left + padded(size) - size);
    }
  }

  /** The rest is read, so that its sender can end. */
  async finish(): Promise<void> {
    while (!(await this.#source.next()).done);
  }

  async #skip(length: number): Promise<void> {
    for (let left = length; left > 0;) left -= (await this.#next(left)).length;
  }

  async #next(most: number): Promise<Buffer> {
    while (this.#held.length === 0) {
      const next = await this.#source.next();
      if (next.done) throw new ArchiveError("the archive ends too early");
      this.#held = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const piece = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(piece.length);
    return piece;
  }
}
