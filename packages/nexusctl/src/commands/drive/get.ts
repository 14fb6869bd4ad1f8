import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";
import { driveDetail } from "../../views/drive.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of a drive"), flags: outputFlags, aliases: outputAliases },
  examples: [["drive get data", "its VM and how it has it, what is shared and what is its own"]],
  async run(cli: Cli, flags: OutputFlags, name: string) {
    const drive = await doing(`show drive "${name}"`, () => cli.client.call("drive.get", { params: { drive: name } }));
    await show(cli, flags, drive, {
      names: [drive.name],
      human: () => driveDetail(drive, cli.now, cli.out.paint),
    });
  },
});
