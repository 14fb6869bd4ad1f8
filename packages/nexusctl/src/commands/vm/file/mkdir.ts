import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import { text } from "../../../parse.ts";
import { show } from "../../../show.ts";

interface Flags extends UserFlags {
  readonly parents?: boolean;
  readonly mode: string;
}

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: {
      user: userFlag,
      parents: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "make the directories above, too, and take one that is there",
      },
      mode: { kind: "parsed", parse: text, default: "0755", placeholder: "OCTAL", brief: "its permissions" },
      json: outputFlags.json,
    },
    aliases: { u: "user", p: "parents", m: "mode" },
  },
  examples: [["vm file mkdir dev:/srv/a/b --parents", "both"]],
  async run(cli: Cli, flags: Flags, place: string) {
    const { params, query } = askAt(place, flags);
    const body = { ...query, parents: flags.parents ?? false, mode: flags.mode };
    const result = await doing(`make ${place}`, () => cli.client.call("vm.files.mkdir", { params, body }));
    await show(cli, flags, result, { names: [], human: () => "" });
  },
});
