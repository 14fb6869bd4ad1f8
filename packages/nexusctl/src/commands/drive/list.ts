import type { Drive } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { show } from "../../show.ts";
import { driveTable } from "../../views/drive.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  examples: [["drive list", "a line for each, with its VM"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await cli.client.call("drive.list");
    const drives: readonly Drive[] = result.drives;
    await show(cli, flags, result, {
      names: drives.map(({ name }) => name),
      human: () => (drives.length === 0 ? "" : driveTable(drives, cli.now, cli.out.paint)),
    });
    if (drives.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no drives\n");
    cli.hint("nexusctl drive create data");
  },
});
