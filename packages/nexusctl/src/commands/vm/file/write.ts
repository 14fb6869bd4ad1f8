import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import { printable } from "../../../format/colour.ts";
import { formatBytes } from "../../../format/units.ts";
import { text } from "../../../parse.ts";
import { show } from "../../../show.ts";

interface Flags extends UserFlags {
  readonly mode?: string;
  readonly owner?: string;
  readonly parents?: boolean;
}

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: {
      user: userFlag,
      mode: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "OCTAL",
        brief: "default that of the file that is there, else 0644",
      },
      owner: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "OWNER",
        brief: "name, uid, name:group or uid:gid; default that of the file that is there, else the user",
      },
      parents: { kind: "boolean", optional: true, withNegated: false, brief: "make the directories above" },
      json: outputFlags.json,
    },
    aliases: { u: "user", m: "mode", p: "parents" },
  },
  about: "The file is there whole, or it is as it was: an input that breaks off changes nothing.",
  examples: [["vm file write dev:/etc/motd < motd", "what this command reads"]],
  async run(cli: Cli, flags: Flags, place: string) {
    const { params, query } = askAt(place, flags);
    const { mode, owner } = flags;
    const more = { ...(mode === undefined ? {} : { mode }), ...(owner === undefined ? {} : { owner }) };
    const parents = flags.parents === true ? "true" : "false";
    const written = await doing(`write ${place}`, () =>
      cli.client.send("vm.files.write", { params, query: { ...query, ...more, parents } }, process.stdin),
    ).finally(() => process.stdin.destroy());
    await show(cli, flags, written, {
      names: [],
      human: () => `${printable(written.path)}  ${formatBytes(written.sizeBytes)}\n`,
    });
  },
});
