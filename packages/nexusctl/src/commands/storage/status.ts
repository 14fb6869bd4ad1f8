import type { StorageStatus } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { printable, type Paint } from "../../format/colour.ts";
import { renderPairs } from "../../format/table.ts";
import { formatBytes } from "../../format/units.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: {
    flags: { ...outputFlags, quiet: { ...outputFlags.quiet, brief: "print only the directory" } },
    aliases: outputAliases,
  },
  examples: [["storage status", "directory, driver, what is free, what lies there unknown"]],
  async run(cli: Cli, flags: OutputFlags) {
    const status = await cli.client.call("storage.status");
    await show(cli, flags, status, { names: [status.directory], human: () => storageText(status, cli.out.paint) });
  },
});

export function storageText(status: StorageStatus, paint: Paint): string {
  const pairs = renderPairs(
    [
      ["Directory", status.directory],
      ["Driver", status.driver],
      ["Loop file", status.loopFile],
      ["Size", formatBytes(status.totalBytes)],
      ["Free", formatBytes(status.freeBytes)],
      ["Images", String(status.imageCount)],
      ["Workspaces", String(status.workspaceCount)],
      ["Drives", String(status.driveCount)],
    ],
    paint,
  );
  return pairs + status.unknown.map((path) => `${paint("yellow", "unknown:")} ${printable(path)}\n`).join("");
}
