import { resolve } from "node:path";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { formatBytes, formatDuration } from "../../format/units.ts";
import { parseSize, text } from "../../parse.ts";
import { withProgress } from "../../progress.ts";
import { show } from "../../show.ts";

interface Flags extends OutputFlags {
  readonly name: string;
  readonly size?: number;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ placeholder: "SOURCE", brief: "a directory, or a file with an ext4 file system", parse: text }],
    },
    flags: {
      name: { kind: "parsed", parse: text, placeholder: "NAME", brief: "name of the image (needed)" },
      size: {
        kind: "parsed",
        parse: parseSize,
        optional: true,
        placeholder: "SIZE",
        brief: "size of the disk made from a directory (default its content and half as much again)",
      },
      ...outputFlags,
    },
    aliases: { ...outputAliases, n: "name" },
  },
  about: "The source is copied once and stays as it is. It has to lie on the daemon's machine.",
  examples: [
    ["image import ./rootfs --name base", "from a directory"],
    ["image import debian.ext4 --name debian", "from a disk"],
    ["image import ./rootfs --name roomy --size 8G", "with room to grow"],
  ],
  async run(cli: Cli, flags: Flags, source: string) {
    const from = performance.now();
    const body = {
      name: flags.name,
      source: resolve(source),
      ...(flags.size === undefined ? {} : { sizeBytes: flags.size }),
    };
    const image = await doing(`import image "${flags.name}"`, () =>
      withProgress(cli, flags, `importing ${flags.name}`, (onProgress) =>
        cli.client.progress("image.import", { body }, onProgress),
      ),
    );
    await show(cli, flags, image, {
      names: [image.name],
      human: () =>
        `${image.name} imported in ${formatDuration(performance.now() - from)}: a disk of ${formatBytes(image.sizeBytes)}, ${formatBytes(image.usedBytes)} used\n`,
    });
    cli.hint(`nexusctl vm create dev --image ${image.name} --start`);
  },
});
