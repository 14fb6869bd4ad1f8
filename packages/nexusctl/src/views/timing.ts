import type { Boot, VmHistory } from "@workfort/contract";
import { bar } from "../format/bar.ts";
import type { Paint } from "../format/colour.ts";
import { renderTable } from "../format/table.ts";
import { formatAge, formatDuration } from "../format/units.ts";

const barWidth = 40;

/** one phase of the newest boot beside the same phase of all */
export interface PhaseTiming {
  name: string;
  /** ms after the start was asked for */
  startedAtMs: number;
  durationMs: number;
  /** over the boots that have the phase, ms */
  p50Ms: number;
  p95Ms: number;
}

/** where a VM's boots spend their time */
export interface Timing {
  /** number of the newest boot that became ready */
  boot: number;
  startedAt: number;
  readyMs: number;
  phases: PhaseTiming[];
  /** Firecracker's own boot timer; null without */
  guestBootMs: number | null;
  /** boots that became ready, which is what the percentiles are over */
  boots: number;
  p50Ms: number;
  p95Ms: number;
}

/** Null where no boot became ready. */
export function timingOf({ boots }: VmHistory): Timing | null {
  const ready = boots.filter((boot): boot is Boot & { readyAt: number } => boot.readyAt !== null);
  const newest = ready[0];
  if (newest === undefined) return null;
  const wholes = ready.map(({ readyAt, startedAt }) => readyAt - startedAt);
  return {
    boot: newest.number,
    startedAt: newest.startedAt,
    readyMs: newest.readyAt - newest.startedAt,
    phases: newest.phases.map((phase) => {
      const same = ready.flatMap((boot) => boot.phases.filter(({ name }) => name === phase.name));
      const durations = same.map(({ durationMs }) => durationMs);
      return { ...phase, p50Ms: percentile(durations, 0.5), p95Ms: percentile(durations, 0.95) };
    }),
    guestBootMs: newest.guestBootMs,
    boots: ready.length,
    p50Ms: percentile(wholes, 0.5),
    p95Ms: percentile(wholes, 0.95),
  };
}

/** The nearest rank: a value that was measured, never one in between. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

export async function timingText(timing: Timing, now: number, paint: Paint): Promise<string> {
  const whole = Math.max(
    timing.readyMs,
    ...timing.phases.map(({ startedAtMs, durationMs }) => startedAtMs + durationMs),
  );
  const rows: PhaseTiming[] = [
    ...timing.phases,
    { name: "ready", startedAtMs: 0, durationMs: timing.readyMs, p50Ms: timing.p50Ms, p95Ms: timing.p95Ms },
  ];
  const table = await renderTable(
    [
      { title: "PHASE", cell: ({ name }) => name.replaceAll("_", " ") },
      { title: "TIME", align: "right", cell: ({ durationMs }) => formatDuration(durationMs) },
      {
        title: "",
        cell: ({ name, startedAtMs, durationMs }) => ({
          text: bar(startedAtMs, durationMs, whole, barWidth),
          style: name === "ready" ? "dim" : "cyan",
        }),
      },
      { title: "P50", align: "right", cell: ({ p50Ms }) => formatDuration(p50Ms) },
      { title: "P95", align: "right", cell: ({ p95Ms }) => formatDuration(p95Ms) },
    ],
    rows,
    paint,
  );
  const title = `${paint("bold", `boot ${timing.boot}`)}  ${formatAge(timing.startedAt, now)} ago; P50 and P95 over ${timing.boots} ${timing.boots === 1 ? "boot" : "boots"}`;
  const own =
    timing.guestBootMs === null
      ? ""
      : `Firecracker's own boot timer: ${formatDuration(timing.guestBootMs)} until the agent's first words\n`;
  return `${title}\n${table}${own}`;
}
