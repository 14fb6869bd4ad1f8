import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { show } from "../../show.ts";
import { tokenTable } from "../../views/token.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  examples: [["token list", "a line for each, with what it opens"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await cli.client.call("token.list");
    const { tokens } = result;
    const { vms } = tokens.length === 0 ? { vms: [] } : await cli.client.call("vm.list");
    await show(cli, flags, result, {
      names: tokens.map(({ name }) => name),
      human: () => (tokens.length === 0 ? "" : tokenTable(tokens, vms, cli.now, cli.out.paint)),
    });
    if (tokens.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no tokens\n");
    cli.hint("nexusctl token create claude --vm dev");
  },
});
