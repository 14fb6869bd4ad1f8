import { DaemonUnreachable } from "@workfort/client/errors";
import type { Cli } from "./cli.ts";
import type { OutputFlags } from "./command.ts";
import { report } from "./report.ts";

/** Does the same with several names: goes on after a failure, and gives the worst exit code. */
export async function forEachName(
  cli: Cli,
  flags: OutputFlags,
  names: readonly string[],
  work: (name: string) => Promise<void>,
): Promise<number> {
  let worst = 0;
  for (const name of new Set(names)) {
    try {
      await work(name);
    } catch (error) {
      worst = Math.max(worst, await report(cli, error, flags.json ?? false));
      // the next one would fail the same way
      if (error instanceof Error && error.cause instanceof DaemonUnreachable) break;
    }
  }
  return worst;
}
