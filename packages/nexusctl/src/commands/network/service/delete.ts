import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { showDeleted } from "../../../deleted.ts";
import { forEachName } from "../../../each.ts";
import { doing } from "../../../failures.ts";
import { manyNames } from "../../../parameters.ts";

export default defineCommand({
  parameters: { positional: manyNames("name of a host service"), flags: outputFlags, aliases: outputAliases },
  examples: [["network service delete models", "no VM reaches it any more"]],
  async run(cli: Cli, flags: OutputFlags, ...names: readonly string[]) {
    return await forEachName(cli, flags, names, async (name) => {
      await doing(`delete service "${name}"`, () => cli.client.call("service.delete", { params: { service: name } }));
      showDeleted(cli, flags, name);
    });
  },
});
