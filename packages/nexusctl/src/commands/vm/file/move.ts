import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import { UsageError } from "../../../failures.ts";
import { show } from "../../../show.ts";

interface Flags extends UserFlags {
  readonly overwrite?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [guestPlace, { ...guestPlace, brief: "the new path itself, in the same VM" }],
    },
    flags: {
      user: userFlag,
      overwrite: { kind: "boolean", optional: true, withNegated: false, brief: "replace what is there" },
      json: outputFlags.json,
    },
    aliases: { u: "user" },
  },
  examples: [["vm file move dev:/srv/new dev:/srv/site --overwrite", "at once"]],
  async run(cli: Cli, flags: Flags, from: string, to: string) {
    const [source, target] = [askAt(from, flags), askAt(to, flags)];
    if (source.params.vm !== target.params.vm) throw new UsageError("both places have to be in the same VM");
    const { path, ...user } = source.query;
    const body = { from: path, to: target.query.path, overwrite: flags.overwrite ?? false, ...user };
    const result = await doing(`move ${from} to ${to}`, () =>
      cli.client.call("vm.files.move", { params: source.params, body }),
    );
    await show(cli, flags, result, { names: [], human: () => "" });
  },
});
