/**
 * Tar archives, as far as their headers: ustar with the extended headers of POSIX (pax) and GNU's long names.
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
export interface TarEntry {
  /** bytes as latin1 */
  path: string;
  extended: Map<string, Buffer>;
}

const blockBytes = 512;
/** of one extended header: attributes are at most 64 KiB each */
const largestHeaderBytes = 16 * 1024 * 1024;

export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const blocks = new Blocks(source);
  let extended = new Map<string, Buffer>();
  let longName: string | null = null;
  for (;;) {
    const header = await blocks.read(blockBytes);
    if (header === null || header.every((byte) => byte === 0)) return;
    const size = readNumber(header.subarray(124, 136));
    const kind = String.fromCharCode(header[156] ?? 0);
    if (kind === "x" || kind === "L" || kind === "g") {
      if (size > largestHeaderBytes) throw new Error(`the tar has an extended header of ${size} bytes`);
      const content = await blocks.read(padded(size));
      if (content === null) throw new Error("the tar ends inside a header");
      if (kind === "x") extended = parseRecords(content.subarray(0, size));
      else if (kind === "L") longName = readText(content.subarray(0, size));
      continue;
    }
    const path = extended.get("path")?.toString("latin1") ?? longName ?? plainName(header);
    yield { path, extended };
    extended = new Map();
    longName = null;
    const isLink = kind === "1" || kind === "2"; // links have no content, whatever their size says
    await blocks.skip(isLink ? 0 : padded(size));
  }
}

/** `length key=value\n`, where length counts the whole record and the value may hold anything */
function parseRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, space));
    const equals = bytes.indexOf(0x3d, space);
    if (space < 0 || equals < 0 || !Number.isSafeInteger(length) || length <= 0 || at + length > bytes.length)
      throw new Error("the tar has a malformed extended header");
    records.set(bytes.toString("latin1", space + 1, equals), Buffer.from(bytes.subarray(equals + 1, at + length - 1)));
    at += length;
  }
  return records;
}

function plainName(header: Buffer): string {
  const name = readText(header.subarray(0, 100));
  const prefix =
    header.toString("latin1", 257, 262) === "ustar" && header[262] === 0 ? readText(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function readText(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
}

/** octal text, or big-endian binary with the first bit set (GNU) */
function readNumber(bytes: Buffer): number {
  if (((bytes[0] ?? 0) & 0x80) === 0) return Number.parseInt(readText(bytes).trim() || "0", 8);
  return Number(BigInt(`0x${bytes.subarray(1).toString("hex")}`));
}

function padded(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}

/** Cuts a stream into pieces of wanted sizes. */
class Blocks {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Null where the stream has ended. */
  async read(length: number): Promise<Buffer | null> {
    while (this.#held.length < length) {
      const next = await this.#source.next();
      if (next.done) return null;
      this.#held = Buffer.concat([this.#held, next.value]);
    }
    const piece = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return piece;
  }

  async skip(length: number): Promise<void> {
    let left = length;
    while (left > this.#held.length) {
      left -= this.#held.length;
      const next = await this.#source.next();
      if (next.done) throw new Error("the tar ends inside a file");
      this.#held = next.value;
    }
    this.#held = this.#held.subarray(left);
  }
}
