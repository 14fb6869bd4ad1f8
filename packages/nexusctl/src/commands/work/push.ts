import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { parsePlace } from "../../copy/place.ts";
import { doing, UsageError } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { formatBytes, plural } from "../../format/units.ts";
import { text } from "../../parse.ts";
import { withProgress } from "../../progress.ts";
import { untilInterrupted } from "../../interrupt.ts";
import { pushWork } from "../../work/push.ts";

interface Flags {
  readonly replace?: boolean;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "DIRECTORY", brief: "a git repository of this host, or a plain directory", parse: text },
        { placeholder: "NAME:PATH", brief: "name or id of a VM, and where in it", parse: text },
      ],
    },
    flags: {
      replace: { kind: "boolean", optional: true, withNegated: false, brief: "delete what is at the place first" },
      json: outputFlags.json,
    },
  },
  about:
    "Of a repository, also where a directory in it is named: the history of the branch that is checked out, tags, and the\n" +
    "files as they are now, but those that git ignores. Its configuration, hooks and remotes stay here.",
  examples: [
    ["work push . dev:/work", "this repository, what is not committed included"],
    ["work push . dev:/work --replace", "again, over what is there"],
  ],
  async run(cli: Cli, flags: Flags, directory: string, word: string) {
    const place = parsePlace(word);
    if (place.kind !== "guest")
      throw new UsageError(`"${word}" is no place in a VM`, { hint: "write NAME:PATH, for example dev:/work" });
    return await untilInterrupted(cli, async (signal) => {
      const pushed = await doing(`push ${directory} to ${word}`, () =>
        withProgress(cli, { json: flags.json ?? false }, `pushing ${directory}`, () =>
          pushWork(directory, place, { client: cli.client, signal, replace: flags.replace ?? false }),
        ),
      );
      for (const what of pushed.leftOut) cli.err.write(`nexusctl: ${printable(what)}\n`);
      if (flags.json) cli.out.write(`${JSON.stringify(pushed)}\n`);
      else
        cli.out.write(
          `${printable(pushed.from)} → ${printable(pushed.to)}  ${plural(pushed.files, "file")}, ${formatBytes(pushed.bytes)}\n`,
        );
      cli.hint(`nexusctl work pull ${word} --into ${directory}`);
      return 0;
    });
  },
});
