import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { renderPairs } from "../../format/table.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  examples: [["network presets", "what --preset npm, pypi and so on let through"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await cli.client.call("network.presets");
    const presets = Object.entries(result.presets);
    const lines = presets.flatMap(([name, entries]) =>
      entries.map((entry, place) => [place === 0 ? name : "", entry] as const),
    );
    await show(cli, flags, result, {
      names: presets.map(([name]) => name),
      human: () => renderPairs(lines, cli.out.paint),
    });
  },
});
