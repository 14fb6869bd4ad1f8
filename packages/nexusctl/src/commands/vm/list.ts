import type { VmState } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { show } from "../../show.ts";
import { vmTable } from "../../views/vm.ts";

interface Flags extends OutputFlags {
  readonly state?: VmState;
}

const states = [
  "created",
  "starting",
  "running",
  "paused",
  "stopping",
  "stopped",
  "crashed",
] as const satisfies readonly VmState[];

export default defineCommand({
  parameters: {
    flags: {
      state: { kind: "enum", values: states, optional: true, brief: "only those in this state" },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  examples: [
    ["vm list", "a line for each"],
    ["vm list --state running", "those that run"],
    ["vm ls -q", "names only, for scripts"],
  ],
  async run(cli: Cli, flags: Flags) {
    const query = flags.state === undefined ? {} : { state: flags.state };
    const result = await cli.client.call("vm.list", { query });
    const { vms } = result;
    await show(cli, flags, result, {
      names: vms.map(({ name }) => name),
      human: () => (vms.length === 0 ? "" : vmTable(vms, cli.now, cli.out.paint)),
    });
    if (vms.length > 0 || flags.json || flags.quiet) return;
    cli.err.write(flags.state === undefined ? "there are no VMs\n" : `no VM is ${flags.state}\n`);
    cli.hint(flags.state === undefined ? "nexusctl vm create dev --start" : "nexusctl vm list");
  },
});
