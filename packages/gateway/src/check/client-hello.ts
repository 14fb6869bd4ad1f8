/**
 * The first message of a TLS connection (RFC 8446 4.1.2), from the bytes of a guest: it may come in many records and
 * segments, or be anything else.
 */
export interface ClientHello {
  /** as it was sent; null where there is none */
  serverName: string | null;
  /** whether it has an encrypted hello, or what looks like one */
  encryptedHello: boolean;
}

/** null while more is needed */
export type HelloReading = ClientHello | { wrong: string } | null;

/** of all that is read until the hello is whole */
export const maxHelloBytes = 64 * 1024;
const handshakeRecord = 22;
const clientHello = 1;
const maxRecordBytes = 16_384;
const serverNameExtension = 0;
const encryptedHelloExtension = 0xfe0d; // RFC 9849
const hostNameType = 0;

/** Takes the bytes as they come, each once, and says what they begin with as soon as that is known. */
export class HelloReader {
  readonly #recordHead: number[] = [];
  #recordLeft = 0;
  /** of the handshake, without the heads of records */
  #parts: Buffer[] = [];
  #size = 0;
  #wanted: number | null = null;

  push(chunk: Buffer): HelloReading {
    for (let at = 0; at < chunk.length;) {
      if (this.#recordLeft === 0) {
        const wrong = this.#head(chunk[at] ?? 0);
        if (wrong !== null) return { wrong };
        at += 1;
      } else {
        const part = chunk.subarray(at, at + this.#recordLeft);
        at += part.length;
        this.#recordLeft -= part.length;
        const reading = this.#take(part);
        if (reading !== null) return reading;
      }
    }
    return null;
  }

  /** One byte of the head of a record; says what is wrong with it. */
  #head(byte: number): string | null {
    const head = this.#recordHead;
    head.push(byte);
    if (head[0] !== handshakeRecord || (head.length > 1 && head[1] !== 3)) return "it is not TLS";
    if (head.length < 5) return null;
    this.#recordLeft = (head[3] ?? 0) * 256 + byte;
    head.length = 0;
    return this.#recordLeft === 0 || this.#recordLeft > maxRecordBytes
      ? "a record of TLS has an impossible length"
      : null;
  }

  #take(part: Buffer): HelloReading {
    this.#parts.push(part);
    this.#size += part.length;
    if (this.#wanted === null && this.#size >= 4) {
      const begun = Buffer.concat(this.#parts);
      this.#parts = [begun];
      this.#wanted = 4 + begun.readUIntBE(1, 3);
      if (begun[0] !== clientHello) return { wrong: "it does not begin with a ClientHello" };
      if (this.#wanted > maxHelloBytes) return { wrong: "its ClientHello is too long" };
    }
    if (this.#wanted === null || this.#size < this.#wanted) return null;
    return read(Buffer.concat(this.#parts).subarray(4, this.#wanted));
  }
}

function read(body: Buffer): ClientHello | { wrong: string } {
  const cursor = new Cursor(body);
  try {
    cursor.skip(2 + 32);
    cursor.skip(cursor.number(1)); // session id
    cursor.skip(cursor.number(2)); // cipher suites
    cursor.skip(cursor.number(1)); // compression methods
    if (cursor.atEnd) return { serverName: null, encryptedHello: false };
    const extensions = new Cursor(cursor.bytes(cursor.number(2)));
    const seen = new Map<number, Buffer>();
    while (!extensions.atEnd) {
      const type = extensions.number(2);
      if (seen.has(type)) return { wrong: "an extension of its ClientHello comes twice" };
      seen.set(type, extensions.bytes(extensions.number(2)));
    }
    const names = seen.get(serverNameExtension);
    return {
      serverName: names === undefined ? null : serverName(names),
      encryptedHello: seen.has(encryptedHelloExtension),
    };
  } catch {
    return { wrong: "its ClientHello is malformed" };
  }
}

/** One name: a list of several has no meaning (RFC 6066 3). */
function serverName(extension: Buffer): string | null {
  const list = new Cursor(extension);
  const entries = new Cursor(list.bytes(list.number(2)));
  if (!list.atEnd) throw new RangeError("more than a list");
  const type = entries.number(1);
  const name = entries.bytes(entries.number(2));
  if (!entries.atEnd || type !== hostNameType) throw new RangeError("more than a name");
  return name.toString("latin1");
}

/** Reads on through bytes; throws RangeError at their end. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  number(size: 1 | 2): number {
    return this.bytes(size).readUIntBE(0, size);
  }

  bytes(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new RangeError("cut off");
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  skip(count: number): void {
    this.bytes(count);
  }
}
