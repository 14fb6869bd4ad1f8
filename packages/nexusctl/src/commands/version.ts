import { DaemonUnreachable } from "@workfort/client/errors";
import type { Cli } from "../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../command.ts";
import { renderPairs } from "../format/table.ts";
import { ownVersion } from "../own-version.ts";
import { show } from "../show.ts";

export default defineCommand({
  parameters: {
    flags: { ...outputFlags, quiet: { ...outputFlags.quiet, brief: "print only nexusctl's version" } },
    aliases: outputAliases,
  },
  examples: [["version", "works without a daemon, too"]],
  async run(cli: Cli, flags: OutputFlags) {
    const versions = { nexusctl: ownVersion(), nexusd: await daemonVersion(cli), node: process.versions.node };
    await show(cli, flags, versions, {
      names: [versions.nexusctl],
      human: () =>
        renderPairs(
          [
            ["nexusctl", versions.nexusctl],
            ["nexusd", versions.nexusd ?? "cannot be reached"],
            ["Node", versions.node],
          ],
          cli.out.paint,
        ),
    });
  },
});

async function daemonVersion(cli: Cli): Promise<string | null> {
  try {
    return (await cli.client.call("system.health")).version;
  } catch (error) {
    if (error instanceof DaemonUnreachable) return null;
    throw error;
  }
}
