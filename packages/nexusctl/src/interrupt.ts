import type { Cli } from "./cli.ts";

/** exit code of a program that is interrupted */
const interrupted = 130;

/** Gives work a signal that fires at Ctrl-C or TERM; what it leaves by then is its own to clear away, or to tell of. */
export async function untilInterrupted(
  cli: Cli,
  work: (signal: AbortSignal) => Promise<number>,
  left = "what was not whole has been removed",
): Promise<number> {
  const ending = new AbortController();
  const interrupt = (): void => ending.abort(new Error("interrupted"));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupt);
  try {
    return await work(ending.signal);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    cli.err.write(`nexusctl: interrupted; ${left}\n`);
    return interrupted;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, interrupt);
  }
}
