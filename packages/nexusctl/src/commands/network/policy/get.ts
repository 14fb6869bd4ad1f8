import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing, UsageError } from "../../../failures.ts";
import { maybeOneVm } from "../../../network/maybe-vm.ts";
import { show } from "../../../show.ts";
import { policyText } from "../../../views/network.ts";

export default defineCommand({
  parameters: { positional: maybeOneVm, flags: outputFlags, aliases: outputAliases },
  examples: [
    ["network policy get", "the default policy"],
    ["network policy get dev", "what is in force for one VM, and whose it is"],
  ],
  async run(cli: Cli, flags: OutputFlags, name?: string) {
    if (name === undefined) {
      const policy = await cli.client.call("network.policy.get");
      return await show(cli, flags, policy, { names: [], human: () => policyText(policy, null, cli.out.paint) });
    }
    const { policy: found } = await doing(`show the policy of VM "${name}"`, () =>
      cli.client.call("vm.network.get", { params: { vm: name } }),
    );
    if (found === null)
      throw new UsageError(`VM "${name}" has no network interface`, { why: ["it was created with --no-network"] });
    await show(cli, flags, found, {
      names: [],
      human: () => policyText(found.policy, found.source, cli.out.paint),
    });
  },
});
