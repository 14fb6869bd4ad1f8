import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { vmAndEntries } from "../../../network/vm-and-entries.ts";
import { show } from "../../../show.ts";
import { policyText } from "../../../views/network.ts";

export default defineCommand({
  parameters: { positional: vmAndEntries, flags: outputFlags, aliases: outputAliases },
  about: "Entries as they were written; connections to what they named end.",
  examples: [["network policy deny dev api.example.com", "one name less, at once"]],
  async run(cli: Cli, flags: OutputFlags, name: string, ...entries: readonly string[]) {
    const result = await doing(`take entries out of the policy of VM "${name}"`, () =>
      cli.client.call("vm.policy.edit", { params: { vm: name }, body: { deny: [...entries] } }),
    );
    await show(cli, flags, result, {
      names: [],
      human: () => policyText(result.policy, result.source, cli.out.paint),
    });
  },
});
