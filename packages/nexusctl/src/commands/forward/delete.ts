import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { showDeleted } from "../../deleted.ts";
import { forEachName } from "../../each.ts";
import { doing } from "../../failures.ts";
import { text } from "../../parse.ts";

export default defineCommand({
  parameters: {
    positional: {
      kind: "array",
      minimum: 1,
      parameter: { placeholder: "ID", brief: "id of a forward", parse: text },
    },
    flags: outputFlags,
    aliases: outputAliases,
  },
  examples: [["forward delete fwd_abcdefgh2345", "its connections end, too"]],
  async run(cli: Cli, flags: OutputFlags, ...ids: readonly string[]) {
    return await forEachName(cli, flags, ids, async (id) => {
      await doing(`delete forward ${id}`, () => cli.client.call("forward.delete", { params: { forward: id } }));
      showDeleted(cli, flags, id);
    });
  },
});
