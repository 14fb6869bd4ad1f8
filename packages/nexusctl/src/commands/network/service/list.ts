import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { show } from "../../../show.ts";
import { serviceTable } from "../../../views/network.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  examples: [["network service list", "a line for each"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await cli.client.call("service.list");
    const { services } = result;
    await show(cli, flags, result, {
      names: services.map(({ name }) => name),
      human: () => (services.length === 0 ? "" : serviceTable(services, cli.now, cli.out.paint)),
    });
    if (services.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no host services\n");
    cli.hint("nexusctl network service create models --port 11434 --target 127.0.0.1:11434");
  },
});
