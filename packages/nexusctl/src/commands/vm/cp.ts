import type { Progress } from "@workfort/contract";
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

/** between two steps of progress */
const tellEveryMs = 1000;

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
    const run = async (signal: AbortSignal): Promise<number> => {
      try {
        show(cli, flags, await copyAll(cli, flags, places, target, signal));
        return 0;
      } finally {
        if (places.some(({ kind }) => kind === "pipe")) process.stdin.destroy();
      }
    };
    const kept = flags.resume === true ? "what has come is kept, and the same command goes on with it" : undefined;
    return await untilInterrupted(cli, run, kept);
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
      const count = new ByteCount(onProgress);
      const copying = {
        client: cli.client,
        user: flags.user,
        signal,
        resume: flags.resume ?? false,
        onBreak: () => onProgress({ step: "the line broke and is made again" }),
        onSize: (at: number, size: number) => count.begin(at, size),
        onBytes: (bytes: number) => count.add(bytes),
        pour: (chunk: Uint8Array) => cli.out.pour(chunk),
      };
      const action = `copy ${showPlace(source)} to ${showPlace(target)}`;
      copied.push(await doing(action, () => copy(copying, source, target, sources.length > 1)));
    });
  }
  return copied;
}

/** How much has gone through, told once a second. */
class ByteCount {
  readonly #onProgress: (progress: Progress) => void;
  #begun = performance.now();
  #told = this.#begun;
  #from = 0;
  #at = 0;
  /** 0 where it is not known, as of files of /proc */
  #size = 0;

  constructor(onProgress: (progress: Progress) => void) {
    this.#onProgress = onProgress;
  }

  begin(at: number, size: number): void {
    this.#begun = performance.now();
    [this.#from, this.#at, this.#size] = [at, at, size];
  }

  add(bytes: number): void {
    this.#at += bytes;
    const now = performance.now();
    if (now - this.#told < tellEveryMs) return;
    this.#told = now;
    const rate = (1000 * (this.#at - this.#from)) / Math.max(1, now - this.#begun);
    const all = this.#at > this.#size ? "" : ` of ${formatBytes(this.#size)}`;
    this.#onProgress({ step: `${formatBytes(this.#at)}${all}, ${formatBytes(rate)}/s` });
  }
}

function show(cli: Cli, flags: Flags, copied: readonly Copied[]): void {
  for (const { from, leftOut } of copied)
    for (const what of leftOut) cli.err.write(`nexusctl: ${printable(from)}: ${printable(what)}\n`);
  if (copied.some(({ to }) => to === "-")) return;
  if (flags.json) cli.out.write(`${JSON.stringify({ copied })}\n`);
  else
    for (const { to, files, bytes, resumedAt } of copied) {
      const there = resumedAt === 0 ? "" : `, of which ${formatBytes(resumedAt)} were there`;
      cli.out.write(`${printable(to)}  ${plural(files, "file")}, ${formatBytes(bytes)}${there}\n`);
    }
}
