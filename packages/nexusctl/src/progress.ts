import type { Progress } from "@workfort/contract";
import type { Cli } from "./cli.ts";
import type { OutputFlags } from "./command.ts";
import { printable } from "./format/colour.ts";
import { formatDuration } from "./format/units.ts";

/** work that is done before this many `ms` shows no progress */
const patienceMs = 1000;
const frameMs = 120;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/**
 * Shows on stderr how work gets on, once it has taken a second: one line that changes on a terminal, else a line for
 * each step, and of many not all. Nothing with --json or --quiet.
 */
export async function withProgress<T>(
  cli: Cli,
  flags: OutputFlags,
  label: string,
  work: (onProgress: (progress: Progress) => void) => Promise<T>,
): Promise<T> {
  if (flags.json || flags.quiet) return await work(() => {});
  const line = cli.err.isTty ? new MovingLine(cli, label) : new StepLines(cli, label);
  try {
    return await work((progress) => line.step(progress));
  } finally {
    line.end();
  }
}

class MovingLine {
  readonly #cli: Cli;
  readonly #label: string;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #latest: Progress | null = null;
  #frame = 0;
  #drawn = false;

  constructor(cli: Cli, label: string) {
    this.#cli = cli;
    this.#label = label;
    this.#timer = setInterval(() => this.#draw(), frameMs);
    this.#timer.unref();
  }

  step(progress: Progress): void {
    this.#latest = progress;
  }

  end(): void {
    clearInterval(this.#timer);
    if (this.#drawn) this.#cli.err.write("\r\x1b[K");
  }

  #draw(): void {
    const elapsedMs = performance.now() - this.#startedAt;
    if (elapsedMs < patienceMs) return;
    this.#drawn = true;
    this.#frame = (this.#frame + 1) % frames.length;
    const { paint, columns } = this.#cli.err;
    const text = [describe(this.#label, this.#latest), formatDuration(Math.floor(elapsedMs / 100) * 100)].join("  ");
    this.#cli.err.write(`\r${paint("cyan", frames[this.#frame] ?? "")} ${text.slice(0, columns - 3)}\x1b[K`);
  }
}

/** steps that are told as they come: work in steps has fewer, work that counts its bytes has thousands */
const promptLines = 8;
/** then a line is not followed by another before this part of the time taken so far is over */
const pauseShare = 0.1;

class StepLines {
  readonly #cli: Cli;
  readonly #label: string;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout;
  #waits = true;
  #lines = 0;
  #latest: Progress | null = null;
  #printed: string | null = null;

  constructor(cli: Cli, label: string) {
    this.#cli = cli;
    this.#label = label;
    this.#timer = this.#waitFor(patienceMs);
  }

  step(progress: Progress): void {
    this.#latest = progress;
    if (!this.#waits) this.#print();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #waitFor(ms: number): NodeJS.Timeout {
    this.#waits = true;
    return setTimeout(() => {
      this.#waits = false;
      this.#print();
    }, ms).unref();
  }

  #print(): void {
    const step = this.#latest?.step ?? "";
    if (step === this.#printed) return;
    this.#printed = step;
    this.#cli.err.write(`${describe(this.#label, this.#latest === null ? null : { step })}\n`);
    this.#lines += 1;
    if (this.#lines < promptLines) return;
    this.#timer = this.#waitFor(Math.max(patienceMs, (performance.now() - this.#startedAt) * pauseShare));
  }
}

function describe(label: string, progress: Progress | null): string {
  if (progress === null) return label;
  const percent = progress.fraction === undefined ? "" : ` ${Math.floor(progress.fraction * 100)}%`;
  return `${label}: ${printable(progress.step)}${percent}`;
}
