/** A whole answer; `text` is its body, empty where it has none. */
export interface Answer {
  status: number;
  text: string;
}

/** no head that Firecracker writes has 300 bytes */
const headBytes = 8 * 1024;
/** no answer that is read here is longer; a VMM with a guest in it is not trusted */
const bodyBytes = 1024 * 1024;
const headEnd = "\r\n\r\n";
/** its reason is empty, with a space before it (micro_http, `StatusLine`) */
const statusLine = /^HTTP\/1\.[01] ([2-5]\d\d)(?: [^\r\n]*)?\r\n/;
const lengthLine = /^content-length: *(\d{1,12}) *\r?$/im;

/**
 * Takes answers of HTTP/1.1 (RFC 9112) out of a stream of bytes: bodies of a length that is told, or until the stream
 * ends, and none with a status of 204. Throws at what is no HTTP and at what is too long.
 */
export class AnswerReader {
  #held = Buffer.alloc(headBytes);
  #length = 0;
  /** of the answer that is arriving; its length is null where the end of the stream is its end */
  #head: { status: number; length: number | null } | null = null;

  /** Whether an answer has begun to arrive. */
  get isWithin(): boolean {
    return this.#head !== null || this.#length > 0;
  }

  add(chunk: Buffer): void {
    if (this.#length + chunk.length > this.#held.length) {
      const larger = Buffer.alloc(2 * (this.#length + chunk.length));
      this.#held.copy(larger, 0, 0, this.#length);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#length);
    this.#length += chunk.length;
  }

  /** The next answer that has arrived whole, or null. */
  next(hasEnded = false): Answer | null {
    this.#head ??= this.#readHead();
    if (this.#head === null) return null;
    const { status, length } = this.#head;
    if ((length ?? this.#length) > bodyBytes) throw new Error(`an answer of over ${bodyBytes} bytes`);
    if (length === null ? !hasEnded : this.#length < length) return null;
    this.#head = null;
    return { status, text: this.#take(length ?? this.#length).toString("utf8") };
  }

  #readHead(): { status: number; length: number | null } | null {
    const held = this.#held.subarray(0, this.#length);
    const end = held.indexOf(headEnd);
    if (end < 0) {
      if (held.length > headBytes) throw new Error(`the head of its answer is over ${headBytes} bytes`);
      return null;
    }
    const head = this.#take(end + headEnd.length).toString("latin1");
    const status = statusLine.exec(head)?.[1];
    if (status === undefined) throw new Error("its answer is no HTTP");
    if (status === "204") return { status: 204, length: 0 };
    const length = lengthLine.exec(head)?.[1];
    return { status: Number(status), length: length === undefined ? null : Number(length) };
  }

  #take(bytes: number): Buffer {
    const taken = Buffer.from(this.#held.subarray(0, bytes));
    this.#held.copy(this.#held, 0, bytes, this.#length);
    this.#length -= bytes;
    return taken;
  }
}
