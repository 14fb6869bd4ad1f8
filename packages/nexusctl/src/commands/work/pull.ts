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
import { untilInterrupted } from "../../interrupt.ts";
import { workTreeOf } from "../../work/git.ts";
import type { Pulling } from "../../work/guest-tree.ts";
import { pullDirectory, type DirectoryChange } from "../../work/pull-directory.ts";
import { pullWork, type Change } from "../../work/pull.ts";

interface Flags {
  readonly into?: string;
  readonly branch?: string;
  readonly patch?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ placeholder: "NAME:PATH", brief: "name or id of a VM, and a directory in it", parse: text }],
    },
    flags: {
      into: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "DIRECTORY",
        brief: "repository of this host that gets the branch (default .), or a directory that gets the changes",
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
    "comes along as a commit of its own. Outside a repository the files of the two directories are compared, and what\n" +
    "has changed is written. Nothing that the guest wrote is executed, and its objects are checked by git.",
  examples: [
    ["work pull dev:/work", "as branch work/dev, after a look at it"],
    ["work pull dev:/site --into ./site", "changes of a plain directory"],
    ["work pull dev:/work --patch fix.patch", "as a file for git apply"],
    ["work pull dev:/work --yes --json", "for programs"],
  ],
  async run(cli: Cli, flags: Flags, word: string) {
    const place = parsePlace(word);
    if (place.kind !== "guest")
      throw new UsageError(`"${word}" is no place in a VM`, { hint: "write NAME:PATH, for example dev:/work" });
    return await untilInterrupted(cli, (signal) =>
      doing(`pull the work in ${word}`, async () => {
        const top = await workTreeOf(flags.into ?? ".", signal);
        const pulling = { client: cli.client, signal, place };
        if (top === null) return await pullFiles(cli, flags, pulling, word);
        return await pullBranch(cli, flags, pulling, { top, word });
      }),
    );
  },
});

async function pullBranch(
  cli: Cli,
  flags: Flags,
  pulling: Pulling,
  { top, word }: { top: string; word: string },
): Promise<number> {
  const branch = flags.branch ?? `work/${pulling.place.vm}`;
  return await pullWork(pulling, top, async (change, keep) => {
    if (!flags.json) cli.out.write(await changeText(change, change.hasUncommitted ? ", some of it not committed" : ""));
    const decision = await decide(cli, flags, change, { what: `make branch ${branch}`, word });
    if (decision === "refused") return exitCodes.failure;
    if (decision === "wanted") await keep(branch);
    if (flags.json) {
      const { patch: _, ...told } = change;
      cli.out.write(`${JSON.stringify({ ...told, branch: decision === "wanted" ? branch : null })}\n`);
    } else if (decision === "wanted") cli.out.write(`branch ${branch}\n`);
    if (decision === "wanted") cli.hint(`git merge ${branch}`);
    return 0;
  });
}

async function pullFiles(cli: Cli, flags: Flags, pulling: Pulling, word: string): Promise<number> {
  const { into } = flags;
  // what the guest does not have would be deleted from wherever one happens to be
  if (into === undefined)
    throw new UsageError("this directory is in no git repository", {
      why: ["the work comes back as a branch of one, or into a directory that is named"],
      hint: `nexusctl work pull ${word} --into DIRECTORY`,
    });
  if (flags.branch !== undefined)
    throw new UsageError(`${into} is not in a git repository, and has no branches`, { hint: "leave --branch out" });
  return await pullDirectory(pulling, into, async (change, apply) => {
    for (const what of change.leftOut) cli.err.write(`left out: ${printable(what)}\n`);
    if (!flags.json) cli.out.write(await changeText(change, ""));
    const decision = await decide(cli, flags, change, { what: `write them to ${into}`, word });
    if (decision === "refused") return exitCodes.failure;
    if (decision === "wanted") await apply();
    if (flags.json) {
      const { patch: _, ...told } = change;
      cli.out.write(`${JSON.stringify({ ...told, written: decision === "wanted" })}\n`);
    } else if (decision === "wanted") cli.out.write(`${into} is as ${word}\n`);
    return 0;
  });
}

/** Whether the changes are to be taken over; a patch that is asked for is written instead. */
async function decide(
  cli: Cli,
  { patch, yes, into, branch }: Flags,
  change: Pick<Change, "files" | "patch">,
  { what, word }: { what: string; word: string },
): Promise<"wanted" | "nothing" | "refused"> {
  if (patch !== undefined) await fs.writeFile(patch, await change.patch("apply"));
  if (change.files.length === 0) return "nothing";
  if (patch !== undefined) {
    cli.hint(`git apply ${patch}`);
    return "nothing";
  }
  const flags = Object.entries({ into, branch }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  const again = ["nexusctl work pull", word, ...flags].join(" ");
  return yes === true || (await confirm(cli, what, again)) ? "wanted" : "refused";
}

/** The patch, and what it comes to; of a guest's text nothing acts on a terminal. */
async function changeText({ files, patch }: Change | DirectoryChange, note: string): Promise<string> {
  if (files.length === 0) return "nothing has changed\n";
  const sum = (numbers: (number | null)[]): number => numbers.reduce<number>((total, one) => total + (one ?? 0), 0);
  const lines = `${sum(files.map(({ added }) => added))} lines added, ${sum(files.map(({ deleted }) => deleted))} deleted`;
  const shown = (await patch("read"))
    .toString("utf8")
    .split("\n")
    .map((line) => printable(line))
    .join("\n");
  return `${shown}\n${plural(files.length, "file")} changed, ${lines}${note}\n`;
}
