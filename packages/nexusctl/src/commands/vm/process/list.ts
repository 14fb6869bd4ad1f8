import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { oneName } from "../../../parameters.ts";
import { show } from "../../../show.ts";
import { processTable } from "../../../views/process.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: outputFlags, aliases: outputAliases },
  about: "Those that were started through nexusd; vm top shows all. The guest keeps the newest 256 that have ended.",
  examples: [
    ["vm process list dev", "a line for each, with the bytes it has written"],
    ["vm ps ls dev -q", "ids only, for scripts"],
  ],
  async run(cli: Cli, flags: OutputFlags, name: string) {
    const result = await doing(`list the processes in VM "${name}"`, () =>
      cli.client.call("process.list", { params: { vm: name } }),
    );
    const { processes } = result;
    await show(cli, flags, result, {
      names: processes.map(({ id }) => id),
      human: () => (processes.length === 0 ? "" : processTable(processes, cli.out.paint)),
    });
    if (processes.length > 0 || flags.json || flags.quiet) return;
    cli.err.write(`no process was started in ${name}\n`);
  },
});
