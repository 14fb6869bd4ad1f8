const leastBytes = 1024;

/**
 * Bytes of a guest's that come in pieces, put together. However small the pieces are, each byte is copied about twice
 * at most, and nothing is held of the pieces themselves, which may be corners of much larger buffers.
 */
export class Assembly {
  #buffer: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  get length(): number {
    return this.#to - this.#from;
  }

  /** All that is held. It stays as it is, whatever is put or dropped later. */
  get bytes(): Buffer {
    return this.#buffer.subarray(this.#from, this.#to);
  }

  put(piece: Uint8Array): void {
    if (this.#buffer.length - this.#to < piece.length) {
      const held = this.bytes;
      // what was given out may still be read, so it is never moved in place
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(leastBytes, 2 * (held.length + piece.length)));
      this.#buffer.set(held);
      this.#from = 0;
      this.#to = held.length;
    }
    this.#buffer.set(piece, this.#to);
    this.#to += piece.length;
  }

  /** Forgets the first so many. */
  drop(bytes: number): void {
    this.#from += bytes;
  }
}

/** All of a source's bytes; null where they are more than so many, of which then no more is read. */
export async function assemble(source: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Buffer | null> {
  const held = new Assembly();
  for await (const piece of source) {
    if (held.length + piece.length > mostBytes) return null;
    held.put(piece);
  }
  return held.bytes;
}
