import { followingBytes, wholeBytes } from "./characters.ts";

/** An output of which the beginning and the end are kept, within a bound of bytes. */
export class KeptOutput {
  readonly #headRoom: number;
  readonly #tailRoom: number;
  readonly #head: Buffer[] = [];
  #tail: Buffer[] = [];
  #headBytes = 0;
  #tailBytes = 0;
  /** bytes that have passed */
  total = 0;

  constructor(bound: number) {
    this.#headRoom = Math.floor(bound / 2);
    this.#tailRoom = bound - this.#headRoom;
  }

  push(bytes: Uint8Array): void {
    this.total += bytes.length;
    const head = bytes.subarray(0, this.#headRoom - this.#headBytes);
    if (head.length > 0) {
      this.#head.push(Buffer.from(head));
      this.#headBytes += head.length;
    }
    const rest = bytes.subarray(head.length);
    if (rest.length === 0) return;
    this.#tail.push(Buffer.from(rest.subarray(-this.#tailRoom)));
    this.#tailBytes += Math.min(rest.length, this.#tailRoom);
    // copied together only now and then, so that many small pieces cost as much as few large ones
    if (this.#tailBytes > 2 * this.#tailRoom || this.#tail.length > 1024) this.#trim();
  }

  /** bytes in the middle that are not kept */
  get left(): number {
    return Math.max(0, this.total - this.#headBytes - Math.min(this.#tailBytes, this.#tailRoom));
  }

  /** What is kept, with a line in the place of what is not: so many bytes, and the offset of their first. */
  text(note: (left: number, from: number) => string): string {
    this.#trim();
    const [head, tail] = [Buffer.concat(this.#head), Buffer.concat(this.#tail)];
    if (this.left === 0) return Buffer.concat([head, tail]).toString("utf8");
    const [before, after] = [head.subarray(0, wholeBytes(head)), tail.subarray(followingBytes(tail))];
    const left = this.total - before.length - after.length;
    return `${before.toString("utf8")}\n${note(left, before.length)}\n${after.toString("utf8")}`;
  }

  #trim(): void {
    const tail = Buffer.concat(this.#tail).subarray(-this.#tailRoom);
    this.#tail = [Buffer.from(tail)];
    this.#tailBytes = tail.length;
  }
}
