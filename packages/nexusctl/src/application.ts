import type { Cli } from "./cli.ts";
import { isGroup, walk } from "./command-table.ts";
import type { AnyCommand } from "./command.ts";
import { UsageError } from "./failures.ts";

/**
 * Runs one command line and gives its exit code. Of all commands only the one that is meant is loaded, and the parser
 * only where there is something to parse.
 */
export async function runCommandLine(cli: Cli, argv: readonly string[]): Promise<number> {
  const words = argv[0] === "help" ? [...argv.slice(1), "--help"] : argv;
  if (words.length === 1 && (words[0] === "--version" || words[0] === "-V"))
    return await runCommandLine(cli, ["version"]);
  const { path, entry, rest } = walk(words);
  try {
    if (entry === null || isGroup(entry)) {
      refuseStrayFlag(rest[0]);
      return await parseAndRun(cli, path, rest, null);
    }
    const command = (await entry.load()).default;
    if (rest.length === 0 && needsNothing(command)) return (await command.run(cli, {})) ?? 0;
    const { disambiguate } = await import("./scan.ts");
    return await parseAndRun(cli, path, disambiguate(rest, command), command);
  } catch (error) {
    const { report } = await import("./report.ts");
    return await report(cli, withHelpHint(error, path), beforeDashes(words).includes("--json"));
  }
}

async function parseAndRun(
  cli: Cli,
  path: readonly string[],
  rest: readonly string[],
  command: AnyCommand | null,
): Promise<number> {
  const { Session } = await import("./session.ts");
  return await new Session(cli, path, command).run([...path, ...rest]);
}

/** Whether a command is complete without a word behind it. */
function needsNothing({ parameters }: AnyCommand): boolean {
  const flags = Object.values(parameters.flags ?? {}) as { optional?: boolean }[];
  return parameters.positional === undefined && flags.every(({ optional }) => optional === true);
}

function refuseStrayFlag(word: string | undefined): void {
  if (word?.startsWith("-") !== true || ["-h", "--help", "--"].includes(word)) return;
  throw new UsageError(`there is no flag ${word} here; flags come after the command`);
}

function beforeDashes(words: readonly string[]): readonly string[] {
  const at = words.indexOf("--");
  return at === -1 ? words : words.slice(0, at);
}

/** A wrong command line without a better hint points to the help of what was found of it. */
function withHelpHint(error: unknown, path: readonly string[]): unknown {
  if (!(error instanceof UsageError) || error.hint !== undefined) return error;
  return new UsageError(error.message, { why: error.why, hint: ["nexusctl", ...path, "--help"].join(" ") });
}
