import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { oneName } from "../../../parameters.ts";
import { show } from "../../../show.ts";
import { policyText } from "../../../views/network.ts";

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: outputFlags, aliases: outputAliases },
  examples: [["network policy clear dev", "the default is in force for it, and what becomes of that"]],
  async run(cli: Cli, flags: OutputFlags, name: string) {
    const result = await doing(`clear the policy of VM "${name}"`, () =>
      cli.client.call("vm.policy.clear", { params: { vm: name } }),
    );
    await show(cli, flags, result, {
      names: [],
      human: () => policyText(result.policy, result.source, cli.out.paint),
    });
  },
});
