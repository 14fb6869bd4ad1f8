import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { runNexusd } from "../../sibling.ts";

interface Flags extends OutputFlags {
  readonly remove?: boolean;
}

export default defineCommand({
  parameters: {
    flags: {
      remove: { kind: "boolean", optional: true, withNegated: false, brief: "take the leave away again" },
      ...outputFlags,
      quiet: { ...outputFlags.quiet, brief: "print nothing" },
    },
    aliases: outputAliases,
  },
  about:
    "Not needed: a user's daemon joins its network to the host by pasta. This installs a small program of root's\n" +
    "instead, which makes a veth pair with NAT, and lets the user that sudo came from use it. Its words are fixed:\n" +
    "it joins namespaces of that user's own, and nothing else. Needs root.",
  examples: [
    ["network setup", "with sudo: for the user who called it"],
    ["network setup --remove", "with sudo: as it was before"],
  ],
  async run(_cli: Cli, { remove, json, quiet }: Flags) {
    const words = [...(remove === true ? ["--remove"] : []), ...(json ? ["--json"] : [])];
    return await runNexusd(["network", "setup", ...words], quiet ?? false);
  },
});
