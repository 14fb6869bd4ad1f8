import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { show } from "../../show.ts";
import { leftoverTable } from "../../views/network.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  about: "Policies, addresses and services stay recorded; the next VM that starts has the network made anew.",
  examples: [["network reset", "nothing of it is left on the host"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await doing("take the network away", () => cli.client.call("network.reset"));
    const { leftovers } = result;
    await show(cli, flags, result, {
      names: leftovers.map(({ name }) => name),
      human: () => (leftovers.length === 0 ? "there was nothing of it\n" : leftoverTable(leftovers, cli.out.paint)),
    });
  },
});
