/**
 * Reads JSON as serde_json does, so that a body is refused in its words and with its line and column: the first thing
 * that does not fit is named, be it syntax or meaning. The shapes that bodies may have are in shapes.ts.
 */
export class JsonError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(message: string, line: number, column: number) {
    super(message);
    this.line = line;
    this.column = column;
  }

  /** with where it was found; a fault of the whole has no place */
  get words(): string {
    return this.line === 0 ? this.message : `${this.message} at line ${this.line} column ${this.column}`;
  }
}

export class JsonReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The next byte that is not white space, null at the end. */
  peek(): string | null {
    while (this.#at < this.#bytes.length && " \n\t\r".includes(this.#char(this.#at))) this.#at += 1;
    return this.#at < this.#bytes.length ? this.#char(this.#at) : null;
  }

  skip(): void {
    this.#at += 1;
  }

  /** a fault of what has been read */
  fault(message: string): JsonError {
    return this.#errorAt(message, this.#at);
  }

  /** a fault of the byte that comes next */
  faultAhead(message: string): JsonError {
    return this.#errorAt(message, Math.min(this.#bytes.length, this.#at + 1));
  }

  /** The keys of an object one after the other; whoever asks reads the value before asking again. */
  *keys(): Generator<string> {
    this.skip();
    for (let first = true; ; first = false) {
      const next = this.peek();
      if (next === null) throw this.faultAhead("EOF while parsing an object");
      if (next === "}") break;
      if (!first) {
        if (next !== ",") throw this.faultAhead("expected `,` or `}`");
        this.skip();
      }
      const begin = this.peek();
      if (begin === null) throw this.faultAhead("EOF while parsing a value");
      if (begin === "}") throw this.faultAhead("trailing comma");
      if (begin !== '"') throw this.faultAhead("key must be a string");
      yield this.string();
    }
  }

  /** What stands between a key and its value. */
  colon(): void {
    const next = this.peek();
    if (next === null) throw this.faultAhead("EOF while parsing an object");
    if (next !== ":") throw this.faultAhead("expected `:`");
    this.skip();
  }

  /** Reads the end of an object whose members have been read or refused. */
  endObject(): void {
    if (this.peek() === "}") this.skip();
  }

  /** Calls back at each element of a list. */
  elements(read: () => void): void {
    this.skip();
    for (let first = true; ; first = false) {
      const next = this.peek();
      if (next === null) throw this.faultAhead("EOF while parsing a list");
      if (next === "]") break;
      if (!first) {
        if (next !== ",") throw this.faultAhead("expected `,` or `]`");
        this.skip();
        if (this.peek() === "]") throw this.faultAhead("trailing comma");
      }
      read();
    }
    this.skip();
  }

  string(): string {
    const begin = this.#at;
    this.skip();
    while (this.#at < this.#bytes.length && this.#char(this.#at) !== '"')
      this.#at += this.#char(this.#at) === "\\" ? 2 : 1;
    if (this.#at >= this.#bytes.length) {
      this.#at = this.#bytes.length;
      throw this.fault("EOF while parsing a string");
    }
    this.skip();
    try {
      return JSON.parse(this.#bytes.toString("utf8", begin, this.#at)) as string;
    } catch {
      throw this.fault("control character (\\u0000-\\u001F) found while parsing a string");
    }
  }

  number(): { value: number; isInteger: boolean } {
    const text = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/.exec(
      this.#bytes.toString("latin1", this.#at, this.#at + 400),
    )?.[0];
    if (text === undefined) {
      this.skip();
      throw this.faultAhead("invalid number");
    }
    this.#at += text.length;
    if (/^-?0$/.test(text) && /^\d$/.test(this.#char(this.#at))) throw this.faultAhead("invalid number");
    const value = Number(text);
    return { value, isInteger: /^-?\d+$/.test(text) && Math.abs(value) < 2 ** 64 };
  }

  /** `null`, `true` or `false` */
  word(word: string): void {
    for (const char of word) {
      if (this.#at >= this.#bytes.length) throw this.fault("EOF while parsing a value");
      if (this.#char(this.#at) !== char) {
        this.skip();
        throw this.fault("expected ident");
      }
      this.skip();
    }
  }

  end(): void {
    if (this.peek() !== null) throw this.faultAhead("trailing characters");
  }

  #char(at: number): string {
    return String.fromCharCode(this.#bytes[at] ?? 0);
  }

  #errorAt(message: string, at: number): JsonError {
    const before = this.#bytes.subarray(0, at);
    const line = before.filter((byte) => byte === 0x0a).length + 1;
    return new JsonError(message, line, at - (before.lastIndexOf(0x0a) + 1));
  }
}
