import type { PolicyMode, SetNetworkPolicy } from "@workfort/contract";
import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing, UsageError } from "../../../failures.ts";
import { maybeOneVm } from "../../../network/maybe-vm.ts";
import { parseRate, policyFlags, policyModes, policyOf, type PolicyFlags } from "../../../network/policy-flags.ts";
import { text } from "../../../parse.ts";
import { show } from "../../../show.ts";
import { policyText } from "../../../views/network.ts";

interface Flags extends OutputFlags, PolicyFlags {
  readonly mode?: PolicyMode;
  readonly refuseEch?: boolean;
  readonly service?: readonly string[];
  readonly sendLimit?: number;
  readonly receiveLimit?: number;
}

const rate = { kind: "parsed", parse: parseRate, optional: true, placeholder: "RATE" } as const;

export default defineCommand({
  parameters: {
    positional: maybeOneVm,
    flags: {
      mode: { kind: "enum", values: policyModes, optional: true, brief: "by default allow with entries, else open" },
      ...policyFlags,
      refuseEch: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "refuse TLS whose true name is encrypted",
      },
      service: {
        kind: "parsed",
        parse: text,
        optional: true,
        variadic: true,
        placeholder: "NAME",
        brief: "host service that may be used; may be repeated",
      },
      sendLimit: { ...rate, brief: "most that is sent, for example 10MB a second" },
      receiveLimit: { ...rate, brief: "most that is received" },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about:
    "Sets the whole policy: what is left out is as in an open one. In force at once, for connections that exist, too.",
  examples: [
    ["network policy set dev --preset npm --preset github", "only what these need"],
    ["network policy set dev --allow '*.example.com' --allow 203.0.113.7:5432", "names, addresses"],
    ["network policy set --mode none", "the default: nothing"],
    ["network policy set dev --mode open --receive-limit 10MB", "everything, at most so fast"],
  ],
  async run(cli: Cli, flags: Flags, name?: string) {
    const body: SetNetworkPolicy = {
      ...policyOf(flags.mode, flags),
      ...(flags.refuseEch === true ? { encryptedClientHello: "refuse" } : {}),
      ...(flags.service === undefined ? {} : { services: [...flags.service] }),
      ...(flags.sendLimit === undefined ? {} : { sendBytesPerSecond: flags.sendLimit }),
      ...(flags.receiveLimit === undefined ? {} : { receiveBytesPerSecond: flags.receiveLimit }),
    };
    if (Object.keys(body).length === 0)
      throw new UsageError("there is nothing to set", { hint: "nexusctl network policy set --mode open" });
    if (name === undefined) {
      const policy = await doing("set the default policy", () => cli.client.call("network.policy.set", { body }));
      return await show(cli, flags, policy, { names: [], human: () => policyText(policy, null, cli.out.paint) });
    }
    const result = await doing(`set the policy of VM "${name}"`, () =>
      cli.client.call("vm.policy.set", { params: { vm: name }, body }),
    );
    await show(cli, flags, result, {
      names: [],
      human: () => policyText(result.policy, result.source, cli.out.paint),
    });
  },
});
