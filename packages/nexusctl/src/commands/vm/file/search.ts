import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import { printable } from "../../../format/colour.ts";
import { text } from "../../../parse.ts";
import { show } from "../../../show.ts";

interface Flags extends UserFlags {
  readonly name?: readonly string[];
  readonly ignoreCase?: boolean;
  readonly hidden?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        guestPlace,
        {
          placeholder: "PATTERN",
          brief: "regular expression of a line; without it, names",
          parse: text,
          optional: true,
        },
      ],
    },
    flags: {
      user: userFlag,
      name: {
        kind: "parsed",
        parse: text,
        optional: true,
        variadic: true,
        placeholder: "GLOB",
        brief: "only in files with such a name; may be given several times",
      },
      ignoreCase: { kind: "boolean", optional: true, withNegated: false, brief: "large letters are as small ones" },
      hidden: { kind: "boolean", optional: true, withNegated: false, brief: "what begins with a dot, too" },
      json: outputFlags.json,
    },
    aliases: { u: "user", n: "name", i: "ignoreCase" },
  },
  about: "At most a thousand matches, and ten seconds. Binary files and links are passed over.",
  examples: [
    ["vm file search dev:/srv TODO --name '*.rs'", "lines in Rust's files"],
    ["vm file search dev:/etc --name '*.conf'", "names alone"],
  ],
  async run(cli: Cli, flags: Flags, place: string, pattern?: string) {
    const { params, query } = askAt(place, flags);
    const body = {
      ...query,
      ...(pattern === undefined ? {} : { pattern }),
      names: [...(flags.name ?? [])],
      ignoreCase: flags.ignoreCase ?? false,
      hidden: flags.hidden ?? false,
    };
    const found = await doing(`search ${place}`, () => cli.client.call("vm.files.search", { params, body }));
    await show(cli, flags, found, {
      names: [],
      human: () =>
        found.matches
          .map(({ path, line, text: shown }) =>
            line === null ? `${printable(path)}\n` : `${printable(path)}:${line}: ${printable(shown ?? "")}\n`,
          )
          .join(""),
    });
    if (found.stoppedBy !== null) cli.err.write(`nexusctl: there may be more: stopped by its ${found.stoppedBy}\n`);
  },
});
