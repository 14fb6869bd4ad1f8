import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { parseSize, text } from "../../parse.ts";
import { runNexusd } from "../../sibling.ts";

interface Flags extends OutputFlags {
  readonly size?: string;
  readonly file?: string;
}

export default defineCommand({
  parameters: {
    flags: {
      size: {
        kind: "parsed",
        parse: checkedSize,
        optional: true,
        placeholder: "SIZE",
        brief: "size of the file, for example 20G",
      },
      file: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "PATH",
        brief: "the file behind the file system",
      },
      ...outputFlags,
      quiet: { ...outputFlags.quiet, brief: "print nothing" },
    },
    aliases: outputAliases,
  },
  about:
    "Where the data directory is not on btrfs, this makes a btrfs in a file and mounts it there, so that it comes\n" +
    "back after a reboot. Done already, it does nothing. Needs root, and no running daemon.",
  examples: [
    ["storage init", "with the size that fits this disk"],
    ["storage init --size 50G --file /srv/workfort.btrfs", "elsewhere, and larger"],
  ],
  async run(_cli: Cli, { size, file, json, quiet }: Flags) {
    const words = [
      ...(size === undefined ? [] : ["--size", size]),
      ...(file === undefined ? [] : ["--file", file]),
      ...(json ? ["--json"] : []),
    ];
    return await runNexusd(["storage", "init", ...words], quiet ?? false);
  },
});

/** The size is nexusd's to read; a wrong one is better said here. */
function checkedSize(input: string): string {
  parseSize(input);
  return input;
}
