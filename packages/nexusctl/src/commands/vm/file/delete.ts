import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import { show } from "../../../show.ts";

interface Flags extends UserFlags {
  readonly recursive?: boolean;
}

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: {
      user: userFlag,
      recursive: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "a directory with all that is in it",
      },
      json: outputFlags.json,
    },
    aliases: { u: "user", r: "recursive" },
  },
  about: "Does not ask. Links are deleted, not what they lead to.",
  examples: [["vm file delete dev:/srv/old --recursive", "with all that is in it"]],
  async run(cli: Cli, flags: Flags, place: string) {
    const { params, query } = askAt(place, flags);
    const body = { ...query, recursive: flags.recursive ?? false };
    const result = await doing(`delete ${place}`, () => cli.client.call("vm.files.delete", { params, body }));
    await show(cli, flags, result, { names: [], human: () => "" });
  },
});
