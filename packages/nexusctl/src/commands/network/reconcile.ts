import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { show } from "../../show.ts";
import { leftoverTable } from "../../views/network.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  about: "The daemon does the same when it starts. Policies that could not be applied are applied.",
  examples: [["network reconcile", "what was found that nothing needs"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await doing("reconcile the network", () => cli.client.call("network.reconcile"));
    const { leftovers } = result;
    await show(cli, flags, result, {
      names: leftovers.map(({ name }) => name),
      human: () =>
        leftovers.length === 0 ? "everything is as it should be\n" : leftoverTable(leftovers, cli.out.paint),
    });
  },
});
