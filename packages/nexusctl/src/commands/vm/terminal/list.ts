import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { oneName } from "../../../parameters.ts";
import { show } from "../../../show.ts";
import { terminalTable } from "../../../views/terminal.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: outputFlags, aliases: outputAliases },
  examples: [
    ["vm terminal list dev", "a line for each, those that have ended too"],
    ["vm terminal ls dev -q", "ids only, for scripts"],
  ],
  async run(cli: Cli, flags: OutputFlags, vm: string) {
    const result = await doing(`list the terminals of VM "${vm}"`, () =>
      cli.client.call("vm.terminal.list", { params: { vm } }),
    );
    const { terminals } = result;
    await show(cli, flags, result, {
      names: terminals.map(({ id }) => id),
      human: () => (terminals.length === 0 ? "" : terminalTable(terminals, cli.now, cli.out.paint)),
    });
    if (terminals.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no terminals\n");
    cli.hint(`nexusctl vm attach ${vm}`);
  },
});
