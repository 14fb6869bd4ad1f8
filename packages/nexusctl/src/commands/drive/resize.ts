import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { formatBytes } from "../../format/units.ts";
import { oneName } from "../../parameters.ts";
import { parseSize } from "../../parse.ts";
import { withProgress } from "../../progress.ts";
import { show } from "../../show.ts";

interface Flags extends OutputFlags {
  readonly size: number;
}

export default defineCommand({
  parameters: {
    positional: oneName("name or id of a drive"),
    flags: {
      size: { kind: "parsed", parse: parseSize, placeholder: "SIZE", brief: "its new size, for example 20G (needed)" },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about: "Its VM must not run. A drive cannot be made smaller.",
  examples: [["drive resize data --size 20G", "disk and file system"]],
  async run(cli: Cli, flags: Flags, name: string) {
    const drive = await doing(`resize drive "${name}"`, () =>
      withProgress(cli, flags, `resizing ${name}`, () =>
        cli.client.call("drive.resize", { params: { drive: name }, body: { sizeBytes: flags.size } }),
      ),
    );
    await show(cli, flags, drive, {
      names: [drive.name],
      human: () => `${drive.name} has ${formatBytes(drive.sizeBytes)}\n`,
    });
    cli.hint(`nexusctl drive get ${drive.name}`);
  },
});
