import type { GuestProcess, GuestStats } from "@workfort/contract";
import { printable, type Paint } from "../format/colour.ts";
import { renderPairs, renderTable, type Column } from "../format/table.ts";
import { formatBytes, formatDuration } from "../format/units.ts";

/** a process with its share of one processor, in percent; null where it was not there before */
export interface Row extends GuestProcess {
  cpuPercent: number | null;
}

/** Processes by what they have used between two samples; without a first one, or where it was another kernel, by all. */
export function rowsOf(now: GuestStats, before: GuestStats | null): Row[] {
  const elapsedMs = before === null ? 0 : now.uptimeMs - before.uptimeMs;
  const earlier = new Map(before?.processes.map((process) => [keyOf(process), process.cpuMs]));
  const rows = now.processes.map((process): Row => {
    const was = earlier.get(keyOf(process));
    const isKnown = was !== undefined && elapsedMs > 0 && process.cpuMs >= was;
    return { ...process, cpuPercent: isKnown ? (100 * (process.cpuMs - was)) / elapsedMs : null };
  });
  return rows.toSorted((a, b) => (b.cpuPercent ?? -1) - (a.cpuPercent ?? -1) || b.cpuMs - a.cpuMs);
}

/** Share of all processors that was not idle, in percent; null where it cannot be known. */
export function busyPercent(now: GuestStats, before: GuestStats | null): number | null {
  if (before === null) return null;
  const [all, idle] = [total(now) - total(before), idleMs(now) - idleMs(before)];
  return all <= 0 || idle < 0 ? null : Math.max(0, (100 * (all - idle)) / all);
}

/** At most `lines` lines of at most `columns` characters. */
export async function topText(
  now: GuestStats,
  before: GuestStats | null,
  paint: Paint,
  { lines, columns }: { lines: number; columns: number },
): Promise<string> {
  const head = headText(now, before, paint);
  const room = Math.max(0, lines - head.split("\n").length - 2);
  const table = await renderTable(processColumns(columns), rowsOf(now, before).slice(0, room), paint);
  return `${head}\n${table}`;
}

function headText(now: GuestStats, before: GuestStats | null, paint: Paint): string {
  const { memory, load, processorCount, processCount, threadCount, uptimeMs } = now;
  const swap =
    memory.swapTotalBytes === 0
      ? null
      : `${formatBytes(memory.swapTotalBytes - memory.swapFreeBytes)} of ${formatBytes(memory.swapTotalBytes)}`;
  const used = memory.totalBytes - memory.availableBytes;
  return renderPairs(
    [
      ["Up", `${formatDuration(uptimeMs)}, load ${load.map((average) => average.toFixed(2)).join(" ")}`],
      ["Processors", `${processorCount}, ${percent(busyPercent(now, before))} busy`],
      ["Memory", `${formatBytes(used)} of ${formatBytes(memory.totalBytes)}`],
      ["Swap", swap],
      ...now.fileSystems
        .slice(0, 4)
        .map(({ path, usage }, place) => [place === 0 ? "Disks" : "", diskLine(path, usage)] as const),
      ["Processes", `${processCount}, ${threadCount} threads`],
    ],
    paint,
  );
}

function diskLine(path: string, usage: GuestStats["fileSystems"][number]["usage"]): string {
  const name = printable(path).slice(0, 40);
  if (usage === null) return `${name}: does not answer`;
  return `${name}: ${formatBytes(usage.sizeBytes - usage.freeBytes)} of ${formatBytes(usage.sizeBytes)}`;
}

/** a terminal that is not wide gets the columns that say most */
function processColumns(columns: number): Column<Row>[] {
  const all: (Column<Row> & { from: number })[] = [
    { from: 0, title: "PID", align: "right", cell: ({ pid }) => String(pid) },
    { from: 70, title: "PPID", align: "right", cell: ({ parentPid }) => String(parentPid) },
    { from: 60, title: "USER", cell: ({ user }) => printable(user).slice(0, 12) },
    { from: 50, title: "S", cell: ({ state }) => printable(state) },
    { from: 0, title: "CPU", align: "right", cell: ({ cpuPercent }) => percent(cpuPercent) },
    { from: 50, title: "TIME", align: "right", cell: ({ cpuMs }) => formatDuration(cpuMs) },
    { from: 40, title: "MEMORY", align: "right", cell: ({ residentBytes }) => formatBytes(residentBytes) },
    { from: 80, title: "THREADS", align: "right", cell: ({ threads }) => String(threads) },
    { from: 0, title: "COMMAND", cell: ({ command }) => printable(command).slice(0, 32) },
  ];
  return all.filter(({ from }) => columns >= from);
}

function percent(share: number | null): string {
  return share === null ? "-" : `${share.toFixed(1)}%`;
}

function keyOf({ pid, startedMs }: GuestProcess): string {
  return `${pid} ${startedMs}`;
}

function total({ cpu }: GuestStats): number {
  return Object.values(cpu).reduce((sum, part) => sum + part, 0);
}

function idleMs({ cpu }: GuestStats): number {
  return cpu.idleMs + cpu.waitMs;
}
