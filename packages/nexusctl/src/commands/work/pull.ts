import { promises as fs } from "node:fs";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { confirm } from "../../confirm.ts";
import { parsePlace } from "../../copy/place.ts";
import { exitCodes } from "../../exit-codes.ts";
import { doing, UsageError } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { plural } from "../../format/units.ts";
import { yesAlias, yesFlag } from "../../parameters.ts";
import { text } from "../../parse.ts";
import { untilInterrupted } from "../../work/interrupt.ts";
import { pullWork, type Change } from "../../work/pull.ts";

interface Flags {
  readonly into: string;
  readonly branch?: string;
  readonly patch?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ placeholder: "NAME:PATH", brief: "name or id of a VM, and a git repository in it", parse: text }],
    },
    flags: {
      into: {
        kind: "parsed",
        parse: text,
        default: ".",
        placeholder: "DIRECTORY",
        brief: "repository of this host that gets the branch",
      },
      branch: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "NAME",
        brief: "its name (default work/ and the VM's name)",
      },
      patch: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "FILE",
        brief: "write the changes to a file instead of making a branch",
      },
      yes: yesFlag,
      json: outputFlags.json,
    },
    aliases: yesAlias,
  },
  about:
    "Shows the changes, asks, and makes a branch of them; the work tree stays as it is. What the guest has not committed\n" +
    "comes along as a commit of its own. Nothing that the guest wrote is executed, and its objects are checked by git.",
  examples: [
    ["work pull dev:/work", "as branch work/dev, after a look at it"],
    ["work pull dev:/work --patch fix.patch", "as a file for git apply"],
    ["work pull dev:/work --yes --json", "for programs"],
  ],
  async run(cli: Cli, flags: Flags, word: string) {
    const place = parsePlace(word);
    if (place.kind !== "guest")
      throw new UsageError(`"${word}" is no place in a VM`, { hint: "write NAME:PATH, for example dev:/work" });
    const branch = flags.branch ?? `work/${place.vm}`;
    return await untilInterrupted(cli, (signal) =>
      doing(`pull the work in ${word}`, () =>
        pullWork({ client: cli.client, signal, place, into: flags.into }, async (change, keep) => {
          const isNew = change.files.length > 0;
          if (!flags.json) cli.out.write(changeText(change));
          if (flags.patch !== undefined) await fs.writeFile(flags.patch, change.patch);
          const wanted = isNew && flags.patch === undefined;
          const command = `nexusctl work pull ${word}`;
          if (wanted && !flags.yes && !(await confirm(cli, `make branch ${branch}`, command))) return exitCodes.failure;
          if (wanted) await keep(branch);
          if (flags.json) {
            const { patch: _, ...told } = change;
            cli.out.write(`${JSON.stringify({ ...told, branch: wanted ? branch : null })}\n`);
          } else if (wanted) cli.out.write(`branch ${branch}\n`);
          if (wanted) cli.hint(`git merge ${branch}`);
          return 0;
        }),
      ),
    );
  },
});

/** The patch, and what it comes to; of a guest's text nothing acts on a terminal. */
function changeText({ files, patch, hasUncommitted }: Change): string {
  if (files.length === 0) return "nothing has changed\n";
  const sum = (numbers: (number | null)[]): number => numbers.reduce<number>((total, one) => total + (one ?? 0), 0);
  const lines = `${sum(files.map(({ added }) => added))} lines added, ${sum(files.map(({ deleted }) => deleted))} deleted`;
  const note = hasUncommitted ? ", some of it not committed" : "";
  const shown = patch
    .split("\n")
    .map((line) => printable(line))
    .join("\n");
  return `${shown}\n${plural(files.length, "file")} changed, ${lines}${note}\n`;
}
