import type { WorkspaceDetail } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import type { Paint } from "../../format/colour.ts";
import { renderPairs } from "../../format/table.ts";
import { formatAge, formatBytes, formatTime } from "../../format/units.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of a workspace"), flags: outputFlags, aliases: outputAliases },
  examples: [["workspace get dev", "what it shares with its image, and what is its own"]],
  async run(cli: Cli, flags: OutputFlags, name: string) {
    const workspace = await doing(`show workspace "${name}"`, () =>
      cli.client.call("workspace.get", { params: { workspace: name } }),
    );
    await show(cli, flags, workspace, {
      names: [workspace.name],
      human: () => workspaceText(workspace, cli.now, cli.out.paint),
    });
  },
});

function workspaceText(workspace: WorkspaceDetail, now: number, paint: Paint): string {
  return renderPairs(
    [
      ["Name", paint("bold", workspace.name)],
      ["Id", workspace.id],
      ["Image", workspace.imageName ?? "-"],
      ["VM", workspace.vmName ?? "-"],
      ["Size", formatBytes(workspace.sizeBytes)],
      ["Shared", formatBytes(workspace.sharedBytes)],
      ["Exclusive", formatBytes(workspace.exclusiveBytes)],
      ["Created", `${formatTime(workspace.createdAt)}  (${formatAge(workspace.createdAt, now)} ago)`],
    ],
    paint,
  );
}
