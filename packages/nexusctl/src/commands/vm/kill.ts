import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { forEachName } from "../../each.ts";
import { doing } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { manyNames } from "../../parameters.ts";
import { withProgress } from "../../progress.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: { positional: manyNames("name or id of a VM"), flags: outputFlags, aliases: outputAliases },
  about: "Like pulling the plug: what the guest has not written to its disk is lost. Its workspace stays.",
  examples: [["vm kill dev", "for a VM that does not stop"]],
  async run(cli: Cli, flags: OutputFlags, ...names: readonly string[]) {
    const code = await forEachName(cli, flags, names, async (name) => {
      const vm = await doing(`kill VM "${name}"`, () =>
        withProgress(cli, flags, `killing ${name}`, () => cli.client.call("vm.kill", { params: { vm: name } })),
      );
      await show(cli, flags, vm, {
        names: [vm.name],
        human: () => `${vm.name} ${vm.state}: ${printable(vm.stateReason)}\n`,
      });
    });
    if (code === 0) cli.hint(`nexusctl vm history ${names[0] ?? ""}`);
    return code;
  },
});
