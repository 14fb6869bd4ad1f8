import type { Image } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { printable, type Paint } from "../../format/colour.ts";
import { renderPairs } from "../../format/table.ts";
import { formatAge, formatBytes, formatTime } from "../../format/units.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of an image"), flags: outputFlags, aliases: outputAliases },
  examples: [["image get base", "its size, where it came from, who uses it"]],
  async run(cli: Cli, flags: OutputFlags, name: string) {
    const image = await doing(`show image "${name}"`, () => cli.client.call("image.get", { params: { image: name } }));
    await show(cli, flags, image, { names: [image.name], human: () => imageText(image, cli.now, cli.out.paint) });
  },
});

function imageText(image: Image, now: number, paint: Paint): string {
  return renderPairs(
    [
      ["Name", paint("bold", image.name)],
      ["Id", image.id],
      ["Size", `${formatBytes(image.sizeBytes)}, ${formatBytes(image.usedBytes)} used`],
      ["Source", printable(image.source)],
      ["Workspaces", String(image.workspaceCount)],
      ["Created", `${formatTime(image.createdAt)}  (${formatAge(image.createdAt, now)} ago)`],
    ],
    paint,
  );
}
