import type { Cli } from "../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../command.ts";
import { runNexusd } from "../sibling.ts";

export default defineCommand({
  parameters: {
    flags: {
      json: { ...outputFlags.json, brief: "print the checks as JSON" },
      quiet: { ...outputFlags.quiet, brief: "print nothing; the exit code says whether all is well" },
    },
    aliases: outputAliases,
  },
  about:
    "Whether KVM truly works, QEMU, btrfs, tools and permissions, each with the command that mends it.\nNeeds no running daemon.",
  examples: [["doctor", "what this machine has and lacks"]],
  async run(_cli: Cli, { json, quiet }: OutputFlags) {
    return await runNexusd(["doctor", ...(json ? ["--json"] : [])], quiet ?? false);
  },
});
