import type { Socket } from "node:net";

/** Reads a socket on demand: what is not asked for stays with its sender. A byte costs the same however few come at once. */
export class ByteReader {
  readonly #socket: Socket;
  /** what has come and is not taken yet lies from `#start` to `#end` */
  #store: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #wake: (() => void) | null = null;
  readonly #woken = (): void => {
    if (this.#wake !== null) this.#wake();
    else if (this.#socket.readableLength === 0) this.#socket.read(0); // so that an end is noticed
  };

  constructor(socket: Socket) {
    this.#socket = socket;
    for (const event of ["readable", "end", "close"]) socket.on(event, this.#woken);
  }

  get held(): Buffer {
    return this.#store.subarray(this.#start, this.#end);
  }

  /** whether nothing has come that nobody has asked for, and something still may */
  get quiet(): boolean {
    const { readableLength, readableEnded, destroyed } = this.#socket;
    return this.held.length === 0 && readableLength === 0 && !readableEnded && !destroyed;
  }

  /** Waits for more than is held; false where nothing more comes. */
  async more(): Promise<boolean> {
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null;
      if (chunk !== null) {
        this.#append(chunk);
        return true;
      }
      if (this.#socket.readableEnded || this.#socket.destroyed) return false;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }

  /** The next bytes that are held, at most `count`. */
  take(count: number): Buffer {
    const taken = this.held.subarray(0, count);
    this.#start += taken.length;
    return taken;
  }

  /** Gives the socket back, with what was read ahead. */
  release(): void {
    for (const event of ["readable", "end", "close"]) this.#socket.off(event, this.#woken);
    if (this.held.length > 0) this.#socket.unshift(Buffer.from(this.held));
    this.#start = this.#end;
  }

  #append(chunk: Buffer): void {
    const length = this.#end - this.#start;
    if (length === 0) [this.#store, this.#start, this.#end] = [chunk, 0, chunk.length];
    else {
      if (this.#end + chunk.length > this.#store.length) {
        const larger = Buffer.allocUnsafe((length + chunk.length) * 2);
        this.held.copy(larger);
        [this.#store, this.#start, this.#end] = [larger, 0, length];
      }
      chunk.copy(this.#store, this.#end);
      this.#end += chunk.length;
    }
  }
}

/** Writes, and waits where the receiver is slower. */
export async function writeTo(socket: Socket, bytes: Buffer | string): Promise<void> {
  if (!socket.writable) throw new Error("the connection is closed");
  if (socket.write(bytes)) return;
  await new Promise<void>((resolve, reject) => {
    const drained = (): void => {
      socket.off("close", closed);
      resolve();
    };
    const closed = (): void => {
      socket.off("drain", drained);
      reject(new Error("the connection is closed"));
    };
    socket.once("drain", drained);
    socket.once("close", closed);
  });
}
