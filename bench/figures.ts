/** One row of the table: a median (or what its name says) beside its baseline's, from the same run, in turn. */
export interface Figure {
  name: string;
  unit: "ms" | "MiB";
  value: number;
  /** null for a figure that is only stated */
  baseline: number | null;
  /** most that value / baseline may be (or value itself, where there is no baseline) */
  bound: number | null;
  rounds: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function percentile95(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.95) - 1] ?? Number.NaN;
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Measures both in turn, A B A B …, and gives the medians, or what else `pick` makes of the values. */
export async function paired(
  rounds: number,
  value: () => Promise<number>,
  baseline: () => Promise<number>,
  pick: (values: readonly number[]) => number = median,
): Promise<{ value: number; baseline: number; rounds: number }> {
  const values: number[] = [];
  const baselines: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    values.push(await value());
    baselines.push(await baseline());
  }
  return { value: pick(values), baseline: pick(baselines), rounds };
}

export function print(figures: readonly Figure[]): void {
  const rows = figures.map((figure) => {
    const ratio = figure.baseline === null ? figure.value : figure.value / figure.baseline;
    const verdict = figure.bound === null ? "stated" : ratio <= figure.bound ? "ok" : "OVER";
    const shown = (value: number | null): string =>
      value === null ? "" : `${value.toFixed(value < 10 ? 2 : 1)} ${figure.unit}`;
    return [
      figure.name,
      shown(figure.value),
      shown(figure.baseline),
      figure.baseline === null ? "" : ratio.toFixed(2),
      figure.bound === null ? "" : `≤ ${figure.bound}`,
      verdict,
      String(figure.rounds),
    ];
  });
  const table = [["what", "median", "baseline", "ratio", "bound", "", "rounds"], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table)
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  "),
    );
}
