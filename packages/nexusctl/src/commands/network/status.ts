import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { show } from "../../show.ts";
import { networkText } from "../../views/network.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  about: "Where it cannot be used, VMs start without a network, and their warnings say so.",
  examples: [["network status", "how guests reach the outside, or why they do not"]],
  async run(cli: Cli, flags: OutputFlags) {
    const status = await cli.client.call("network.status");
    await show(cli, flags, status, { names: [], human: () => networkText(status, cli.out.paint) });
  },
});
