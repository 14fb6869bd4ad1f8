import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { showDeleted } from "../../deleted.ts";
import { forEachName } from "../../each.ts";
import { doing } from "../../failures.ts";
import { manyNames } from "../../parameters.ts";

export default defineCommand({
  parameters: { positional: manyNames("name or id of a token"), flags: outputFlags, aliases: outputAliases },
  about: "It opens nothing from that moment on; what it has begun runs on.",
  examples: [["token revoke claude", "the client has to be given another"]],
  async run(cli: Cli, flags: OutputFlags, ...names: readonly string[]) {
    return await forEachName(cli, flags, names, async (name) => {
      await doing(`revoke token "${name}"`, () => cli.client.call("token.revoke", { params: { token: name } }));
      showDeleted(cli, flags, name);
    });
  },
});
