import { promises as fs } from "node:fs";
import { parseStartTime } from "./identity.ts";

/** clock ticks a second in `/proc`, USER_HZ: 100 on every architecture that is served here (proc_pid_stat(5)) */
const ticksPerSecond = 100;

/** What a process uses; rejects where the process that began then has gone. */
export async function readUsage(
  pid: number,
  startTime: number,
): Promise<{ processorSeconds: number; residentBytes: number }> {
  const [stat, status] = await Promise.all([
    fs.readFile(`/proc/${pid}/stat`, "latin1"),
    fs.readFile(`/proc/${pid}/status`, "latin1"),
  ]);
  if (parseStartTime(stat) !== startTime) throw new Error(`process ${pid} is another by now`);
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number); // field 3 on
  const ticks = (fields[14 - 3] ?? Number.NaN) + (fields[15 - 3] ?? Number.NaN);
  const residentKiB = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  if (!Number.isFinite(ticks) || !Number.isFinite(residentKiB)) throw new Error(`process ${pid} is ending`);
  return { processorSeconds: ticks / ticksPerSecond, residentBytes: residentKiB * 1024 };
}
