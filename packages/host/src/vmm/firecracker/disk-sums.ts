import type { DiskMetrics } from "@workfort/contract";
import * as z from "zod";

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).default(0);
const Disk = z.object({
  read_bytes: count,
  write_bytes: count,
  read_count: count,
  write_count: count,
  flush_count: count,
});
const Line = z.record(z.string(), z.unknown());

/** Sums of Firecracker's metrics, whose counters begin again with each line. */
export class DiskSums {
  readonly #disks: DiskMetrics[] = [];

  /** in the order of their devices */
  get disks(): DiskMetrics[] {
    return this.#disks.map((disk) => ({ ...disk }));
  }

  /** Adds a line; one that is none is passed over, since a guest may have taken over who writes it. */
  add(line: string): void {
    let values: Record<string, unknown>;
    try {
      values = Line.parse(JSON.parse(line));
    } catch {
      return;
    }
    for (let index = 0; Object.hasOwn(values, `block_drive${index}`); index += 1) {
      const more = Disk.safeParse(values[`block_drive${index}`]);
      const sum = (this.#disks[index] ??= { readBytes: 0, writtenBytes: 0, reads: 0, writes: 0, flushes: 0 });
      if (!more.success) continue;
      sum.readBytes = capped(sum.readBytes + more.data.read_bytes);
      sum.writtenBytes = capped(sum.writtenBytes + more.data.write_bytes);
      sum.reads = capped(sum.reads + more.data.read_count);
      sum.writes = capped(sum.writes + more.data.write_count);
      sum.flushes = capped(sum.flushes + more.data.flush_count);
    }
  }
}

function capped(sum: number): number {
  return Math.min(sum, Number.MAX_SAFE_INTEGER);
}
