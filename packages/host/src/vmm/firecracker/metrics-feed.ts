import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import type { DiskMetrics } from "@workfort/contract";
import { DiskSums } from "./disk-sums.ts";

/** the longest line that is read; Firecracker's is some 6 KiB and half a KiB more for each drive */
const lineBytes = 64 * 1024;

/**
 * What Firecracker writes into the FIFO of its metrics: a line of counters at its start, each minute, and when it is
 * told to. The counters begin again with each line, so all lines are read and summed, from the moment on at which this
 * daemon listens. Nobody who listens is no harm to it: what does not fit into the FIFO is dropped.
 */
export class MetricsFeed {
  readonly #sums = new DiskSums();
  readonly #waiting = new Set<() => void>();
  readonly #socket: Socket | null;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#socket = this.#listen(path);
  }

  /** What all lines together say, once `flush` has made Firecracker write another one. */
  async read(flush: () => Promise<void>, signal: AbortSignal): Promise<DiskMetrics[]> {
    if (this.#socket === null || this.#socket.destroyed) throw new Error("its metrics cannot be read");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#waiting.add(resolve);
    try {
      await flush();
      await promise;
    } finally {
      this.#waiting.delete(resolve);
      signal.removeEventListener("abort", abort);
    }
    return this.#sums.disks;
  }

  /** Null where it cannot be opened: it has ended already. */
  #listen(path: string): Socket | null {
    const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
    let descriptor: number;
    try {
      descriptor = openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    } catch {
      return null;
    }
    if (!fstatSync(descriptor).isFIFO()) {
      closeSync(descriptor);
      return null;
    }
    return new Socket({ fd: descriptor, readable: true, writable: false })
      .on("data", (chunk: Buffer) => this.#take(chunk))
      .on("error", () => {})
      .unref();
  }

  #take(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const lines = bytes.toString("latin1").split("\n");
    const rest = lines.pop() ?? "";
    this.#rest = rest.length > lineBytes ? Buffer.alloc(0) : Buffer.from(rest, "latin1");
    for (const line of lines) if (line.length <= lineBytes) this.#sums.add(line);
    if (lines.length > 0) for (const resolve of this.#waiting) resolve();
  }
}
