import type { Workspace } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { renderTable, type Column } from "../../format/table.ts";
import { formatAge } from "../../format/units.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { flags: outputFlags, aliases: outputAliases },
  examples: [["workspace list", "a line for each"]],
  async run(cli: Cli, flags: OutputFlags) {
    const result = await cli.client.call("workspace.list");
    const { workspaces } = result;
    const columns: Column<Workspace>[] = [
      { title: "NAME", cell: ({ name }) => name },
      { title: "IMAGE", cell: ({ imageName }) => imageName ?? "-" },
      { title: "VM", cell: ({ vmName }) => vmName ?? "-" },
      { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, cli.now) },
      { title: "ID", cell: ({ id }) => ({ text: id, style: "dim" }) },
    ];
    await show(cli, flags, result, {
      names: workspaces.map(({ name }) => name),
      human: () => (workspaces.length === 0 ? "" : renderTable(columns, workspaces, cli.out.paint)),
    });
    if (workspaces.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no workspaces\n");
    cli.hint("nexusctl vm create dev --start");
  },
});
