/** Keys typed one after the other that end a view. */
export class DetachKeys {
  readonly #keys: Buffer;
  #typed = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What of the bytes goes to the guest; null where they complete the keys. */
  take(bytes: Uint8Array): Buffer | null {
    const passed: number[] = [];
    for (const byte of bytes) {
      if (byte !== this.#keys[this.#typed]) {
        passed.push(...this.#keys.subarray(0, this.#typed)); // so far it could have been them
        this.#typed = 0;
      }
      if (byte === this.#keys[this.#typed]) this.#typed += 1;
      else passed.push(byte);
      if (this.#typed === this.#keys.length) return null;
    }
    return Buffer.from(passed);
  }
}

/** `ctrl-p,ctrl-q` as the bytes that a terminal sends for them */
export function parseDetachKeys(text: string): Buffer {
  const keys = text.split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if (/^[!-~]$/.test(key)) return key.charCodeAt(0);
    throw new SyntaxError(`takes keys such as ctrl-p,ctrl-q, not "${text}"`);
  });
  return Buffer.from(keys);
}
