import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { forEachName } from "../../each.ts";
import { doing } from "../../failures.ts";
import { manyNames } from "../../parameters.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { positional: manyNames("name or id of a drive"), flags: outputFlags, aliases: outputAliases },
  about: "The drive keeps what it holds, and can be attached to another VM.",
  examples: [["drive detach data", "frees it from its VM"]],
  async run(cli: Cli, flags: OutputFlags, ...names: readonly string[]) {
    const code = await forEachName(cli, flags, names, async (name) => {
      const drive = await doing(`detach drive "${name}"`, () =>
        cli.client.call("drive.detach", { params: { drive: name } }),
      );
      await show(cli, flags, drive, { names: [drive.name], human: () => `${drive.name} detached\n` });
    });
    if (code === 0) cli.hint("nexusctl drive list");
    return code;
  },
});
