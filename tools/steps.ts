import { styleText } from "node:util";

/** Output of the scripts: numbered steps, what each is doing, how long it took. */
const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
  styleText(style, text, { stream: process.stdout });

/** A failure that has been explained; the script ends with it and without a stack trace. */
export class Stop extends Error {
  readonly next: readonly string[];

  /** `next`: what to type, a line each */
  constructor(message: string, ...next: string[]) {
    super(message);
    this.next = next;
  }
}

export async function step<T>(title: string, work: (tell: (text: string) => void) => Promise<T>): Promise<T> {
  const begun = performance.now();
  console.log(title);
  const result = await work((text) => console.log(`  ${text}`));
  const seconds = (performance.now() - begun) / 1000;
  if (seconds > 1) console.log(paint("dim", `  (${seconds.toFixed(1)} s)`));
  return result;
}

/** Runs a script to its end; Ctrl-C aborts what is under way. */
export async function runScript(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stopped = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => stopped.abort(new Stop("interrupted")));
  try {
    await work(stopped.signal);
  } catch (error) {
    const known = error instanceof Error ? error : new Error(String(error));
    process.stderr.write(`${styleText("red", "error", { stream: process.stderr })}: ${known.message}\n`);
    const hint = (known as { hint?: string }).hint;
    for (const line of known instanceof Stop ? known.next : hint === undefined ? [] : [hint])
      process.stderr.write(`  try: ${line}\n`);
    if (process.env["NEXUS_DEBUG"] !== undefined) console.error(known);
    process.exitCode = 1;
  }
}

export { paint };
