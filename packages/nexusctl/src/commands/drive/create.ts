import { resolve } from "node:path";
import type { Drive } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing, UsageError } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { formatBytes } from "../../format/units.ts";
import { oneName } from "../../parameters.ts";
import { parseSize, text } from "../../parse.ts";
import { withProgress } from "../../progress.ts";
import { show } from "../../show.ts";

interface Flags extends OutputFlags {
  readonly size?: number;
  readonly from?: string;
  readonly snapshotOf?: string;
}

export default defineCommand({
  parameters: {
    positional: oneName("its name: a DNS label"),
    flags: {
      size: {
        kind: "parsed",
        parse: parseSize,
        optional: true,
        placeholder: "SIZE",
        brief: "size of the disk (default 10G; with --from its content and half as much again)",
      },
      from: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "DIRECTORY",
        brief: "directory to be copied into it, with owners and modes",
      },
      snapshotOf: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "DRIVE",
        brief: "drive to make a copy-on-write snapshot of; its VM must not run",
      },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about: "A drive has an ext4 file system and takes from the store what is written to it, whatever its size.",
  examples: [
    ["drive create data", "empty, 10 GiB"],
    ["drive create src --from ./project", "a copy of a directory of the daemon's machine, .git and all"],
    ["drive create again --snapshot-of src", "the same content at once, for another VM to change"],
  ],
  async run(cli: Cli, flags: Flags, name: string) {
    if (flags.from !== undefined && flags.snapshotOf !== undefined)
      throw new UsageError("--from and --snapshot-of exclude each other");
    if (flags.size !== undefined && flags.snapshotOf !== undefined)
      throw new UsageError("--size and --snapshot-of exclude each other", {
        why: ["a snapshot has the size of its source"],
        hint: `nexusctl drive resize ${name} --size …`,
      });
    const body = {
      name,
      ...(flags.size === undefined ? {} : { sizeBytes: flags.size }),
      ...(flags.from === undefined ? {} : { from: resolve(flags.from) }),
      ...(flags.snapshotOf === undefined ? {} : { snapshotOf: flags.snapshotOf }),
    };
    const drive = await doing(`create drive "${name}"`, () =>
      withProgress(cli, flags, `creating ${name}`, (onProgress) =>
        cli.client.progress("drive.create", { body }, onProgress),
      ),
    );
    await show(cli, flags, drive, { names: [drive.name], human: () => createdText(drive, flags) });
    cli.hint(`nexusctl drive attach ${drive.name} dev --mount /work`);
  },
});

function createdText({ name, sizeBytes, source }: Drive, { snapshotOf }: Flags): string {
  const made = snapshotOf === undefined ? "from" : "as a snapshot of";
  return `${name} created${source === null ? "" : ` ${made} ${printable(source)}`}: ${formatBytes(sizeBytes)}\n`;
}
