import type { Cli } from "./cli.ts";
import type { OutputFlags } from "./command.ts";

/** Prints a result in the form that was asked for. */
export async function show(
  cli: Cli,
  flags: OutputFlags,
  result: unknown,
  forms: { names: readonly string[]; human: () => string | Promise<string> },
): Promise<void> {
  if (flags.json) showJson(cli, result);
  else if (flags.quiet) cli.out.write(forms.names.map((name) => `${name}\n`).join(""));
  else cli.out.write(await forms.human());
}

/** Indented for people, one line for programs; nothing for an operation without a result. */
function showJson(cli: Cli, result: unknown): void {
  if (result !== undefined) cli.out.write(`${JSON.stringify(result, null, cli.out.isTty ? 2 : undefined)}\n`);
}
