import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { renderPairs } from "../../format/table.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";
import { countersText, policyText } from "../../views/network.ts";

interface Flags {
  readonly json?: boolean;
}

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: { json: outputFlags.json } },
  about: "Counters begin with each start of the VM.",
  examples: [["vm network dev", "addresses, what it may reach, what it has sent and received"]],
  async run(cli: Cli, flags: Flags, name: string) {
    const result = await doing(`show the network of VM "${name}"`, () =>
      cli.client.call("vm.network.get", { params: { vm: name } }),
    );
    const { network, policy, counters } = result;
    const { paint } = cli.out;
    await show(cli, flags, result, {
      names: [],
      human: () => {
        if (network === null || policy === null) return "it was created without a network interface\n";
        const interfacePairs = renderPairs(
          [
            ["Address", `${network.ipv4}, ${network.ipv6}`],
            ["MAC", network.macAddress],
            ["Attached", network.attached ? `yes, as ${network.tap}` : "no"],
          ],
          paint,
        );
        const counted = counters === null ? "" : `\n${countersText(counters, paint)}`;
        return `${interfacePairs}\n${policyText(policy.policy, policy.source, paint)}${counted}`;
      },
    });
  },
});
