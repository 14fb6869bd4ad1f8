import type { Cli } from "./cli.ts";
import { UsageError } from "./failures.ts";

/**
 * Asks before something is lost. Where nobody can be asked, `--yes` has to say it.
 * False if the answer was no.
 */
export async function confirm(cli: Cli, what: string, command: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) {
    throw new UsageError(`refusing to ${what} without confirmation`, {
      why: ["stdin is not a terminal, so nobody can be asked"],
      hint: `${command} --yes`,
    });
  }
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: cli.err.stream });
  const { promise: over, resolve } = Promise.withResolvers<string>();
  lines.once("close", () => resolve(""));
  lines.once("SIGINT", () => {
    cli.err.write("\n");
    process.exit(130);
  });
  const answer = await Promise.race([lines.question(`${what}? [y/N] `), over]);
  lines.close();
  if (/^y(es)?$/i.test(answer.trim())) return true;
  cli.err.write("nothing was done\n");
  return false;
}
