import type { Image } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { printable } from "../../format/colour.ts";
import { renderTable, type Column } from "../../format/table.ts";
import { formatAge, formatBytes } from "../../format/units.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  examples: [["image list", "a line for each"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await cli.client.call("image.list");
    const { images } = result;
    const columns: Column<Image>[] = [
      { title: "NAME", cell: ({ name }) => name },
      { title: "SIZE", align: "right", cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
      { title: "USED", align: "right", cell: ({ usedBytes }) => formatBytes(usedBytes) },
      { title: "WORKSPACES", align: "right", cell: ({ workspaceCount }) => String(workspaceCount) },
      { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, cli.now) },
      { title: "SOURCE", cell: ({ source }) => printable(source) },
      { title: "ID", cell: ({ id }) => ({ text: id, style: "dim" }) },
    ];
    await show(cli, flags, result, {
      names: images.map(({ name }) => name),
      human: () => (images.length === 0 ? "" : renderTable(columns, images, cli.out.paint)),
    });
    if (images.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no images\n");
    cli.hint("nexusctl image import ./rootfs --name base");
  },
});
