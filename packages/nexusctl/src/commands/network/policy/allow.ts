import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { vmAndEntries } from "../../../network/vm-and-entries.ts";
import { show } from "../../../show.ts";
import { policyText } from "../../../views/network.ts";

export default defineCommand({
  parameters: { positional: vmAndEntries, flags: outputFlags, aliases: outputAliases },
  about: "Adds to what is in force, which is the VM's own from then on: a change of the default no longer reaches it.",
  examples: [
    ["network policy allow dev api.example.com", "one name more, at once"],
    ["network policy allow dev preset:pypi 203.0.113.7:5432", "a preset, and a database"],
  ],
  async run(cli: Cli, flags: OutputFlags, name: string, ...entries: readonly string[]) {
    const result = await doing(`add to the policy of VM "${name}"`, () =>
      cli.client.call("vm.policy.edit", { params: { vm: name }, body: { allow: [...entries] } }),
    );
    await show(cli, flags, result, {
      names: [],
      human: () => policyText(result.policy, result.source, cli.out.paint),
    });
  },
});
