import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { copy, type Copied } from "../../copy/copy.ts";
import { parsePlace, showPlace, type Place } from "../../copy/place.ts";
import { doing, UsageError } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { formatBytes, plural } from "../../format/units.ts";
import { untilInterrupted } from "../../interrupt.ts";
import { text } from "../../parse.ts";
import { withProgress } from "../../progress.ts";

interface Flags {
  readonly user?: string;
  readonly resume?: boolean;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "array",
      minimum: 2,
      parameter: { placeholder: "PLACE", brief: "what to copy, then where to: NAME:PATH is in a VM", parse: text },
    },
    flags: {
      user: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "USER",
        brief: "of the guest, by whom it is read or written (default root)",
      },
      resume: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "of a file: keep what an interruption leaves, and go on with it the next time",
      },
      json: outputFlags.json,
    },
    aliases: { u: "user" },
  },
  about:
    "Files, and directories with all that is in them; modes and symbolic links are kept. Into the target where that is\n" +
    "a directory. A path in a VM that does not begin with / is below the user's home; - is stdin or stdout. A file is\n" +
    "whole under its name or not there at all, on both sides; its copy goes on over a restart of the daemon.",
  examples: [
    ["vm cp ./site dev:/srv", "a directory into the VM, as /srv/site"],
    ["vm cp dev:/var/log/syslog .", "a file out of it"],
    ["vm cp a.txt b.txt dev:", "files into root's home"],
    ["vm cp dev:/etc/hostname - | wc -c", "to a pipe"],
    ["vm cp --resume dev:/var/dump .", "a large one, in several goes"],
  ],
  async run(cli: Cli, flags: Flags, ...words: readonly string[]) {
    const places = words.map(parsePlace);
    const target = places.pop();
    if (target === undefined || places.length === 0) throw new UsageError("a source and a target are needed");
    return await untilInterrupted(cli, async (signal) => {
      try {
        show(cli, flags, await copyAll(cli, flags, places, target, signal));
        return 0;
      } finally {
        if (places.some(({ kind }) => kind === "pipe")) process.stdin.destroy();
      }
    });
  },
});

async function copyAll(
  cli: Cli,
  flags: Flags,
  sources: readonly Place[],
  target: Place,
  signal: AbortSignal,
): Promise<Copied[]> {
  const copied: Copied[] = [];
  for (const source of sources) {
    const label = `${showPlace(source)} → ${showPlace(target)}`;
    await withProgress(cli, { json: flags.json ?? target.kind === "pipe" }, label, async (onProgress) => {
      const begun = performance.now();
      let bytes = 0;
      const onBytes = (count: number): void => {
        bytes += count;
        const rate = bytes / Math.max(0.001, (performance.now() - begun) / 1000);
        onProgress({ step: `${formatBytes(bytes)}, ${formatBytes(rate)}/s` });
      };
      const copying = {
        client: cli.client,
        user: flags.user,
        signal,
        resume: flags.resume ?? false,
        onBreak: () => onProgress({ step: "the line broke and is made again" }),
        onBytes,
        pour: (chunk: Uint8Array) => cli.out.pour(chunk),
      };
      const action = `copy ${showPlace(source)} to ${showPlace(target)}`;
      copied.push(await doing(action, () => copy(copying, source, target, sources.length > 1)));
    });
  }
  return copied;
}

function show(cli: Cli, flags: Flags, copied: readonly Copied[]): void {
  for (const { from, leftOut } of copied)
    for (const what of leftOut) cli.err.write(`nexusctl: ${printable(from)}: ${printable(what)}\n`);
  if (copied.some(({ to }) => to === "-")) return;
  if (flags.json) cli.out.write(`${JSON.stringify({ copied })}\n`);
  else
    for (const { to, files, bytes } of copied)
      cli.out.write(`${printable(to)}  ${plural(files, "file")}, ${formatBytes(bytes)}\n`);
}
