import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";
import { vmDetail } from "../../views/vm.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: outputFlags, aliases: outputAliases },
  examples: [
    ["vm get dev", "its state and why, its size, its VMM"],
    ["vm get dev --json", "the same for programs"],
  ],
  async run(cli: Cli, flags: OutputFlags, name: string) {
    const vm = await doing(`show VM "${name}"`, () => cli.client.call("vm.get", { params: { vm: name } }));
    await show(cli, flags, vm, {
      names: [vm.name],
      human: () => vmDetail(vm, cli.now, cli.out.paint, cli.out.columns),
    });
  },
});
