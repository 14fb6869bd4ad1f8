import type { DiskMetrics } from "@workfort/contract";
import * as z from "zod";

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
/** what is read of an answer to `query-blockstats` */
const Answer = z.array(
  z.object({
    device: z.string().default(""),
    stats: z.object({
      rd_bytes: count,
      wr_bytes: count,
      rd_operations: count,
      wr_operations: count,
      flush_operations: count,
    }),
  }),
);

/** The disks in the order of their devices, which are named `drive0` and so on. */
export function disksIn(answer: unknown): DiskMetrics[] {
  const found = new Map(Answer.parse(answer).map(({ device, stats }) => [device, stats]));
  const disks: DiskMetrics[] = [];
  for (let stats = found.get("drive0"); stats !== undefined; stats = found.get(`drive${disks.length}`))
    disks.push({
      readBytes: stats.rd_bytes,
      writtenBytes: stats.wr_bytes,
      reads: stats.rd_operations,
      writes: stats.wr_operations,
      flushes: stats.flush_operations,
    });
  return disks;
}
