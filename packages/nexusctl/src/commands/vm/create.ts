import type { CreateVm, PolicyMode, RestartPolicy, VmmChoice } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing, UsageError } from "../../failures.ts";
import { formatMiB } from "../../format/units.ts";
import { policyFlags, policyModes, policyOf, type PolicyFlags } from "../../network/policy-flags.ts";
import { oneName } from "../../parameters.ts";
import { parseCount, parseMemory, text } from "../../parse.ts";
import { show } from "../../show.ts";
import { startVm, startedText } from "../../start-vm.ts";

interface Flags extends OutputFlags, PolicyFlags {
  readonly image?: string;
  readonly workspace?: string;
  readonly vcpus?: number;
  readonly memory?: number;
  readonly vmm: VmmChoice;
  readonly restart: RestartPolicy;
  readonly startOnBoot?: boolean;
  readonly noNetwork?: boolean;
  readonly policy?: PolicyMode;
  readonly start?: boolean;
}

const vmmChoices = ["auto", "firecracker", "qemu"] as const satisfies readonly VmmChoice[];

const restartPolicies = ["never", "on-failure", "always"] as const satisfies readonly RestartPolicy[];

export default defineCommand({
  parameters: {
    positional: oneName("its name: a DNS label, which becomes its host name"),
    flags: {
      image: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "IMAGE",
        brief: "master image of its new workspace (default base)",
      },
      workspace: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "WORKSPACE",
        brief: "an existing workspace instead of a new one",
      },
      vcpus: {
        kind: "parsed",
        parse: parseCount,
        optional: true,
        placeholder: "N",
        brief: "virtual CPUs (default 1, see nexus.yaml)",
      },
      memory: {
        kind: "parsed",
        parse: parseMemory,
        optional: true,
        placeholder: "SIZE",
        brief: "MiB, or a size such as 512M or 2G (default 512M, see nexus.yaml)",
      },
      restart: {
        kind: "enum",
        values: restartPolicies,
        default: "never",
        brief: "start it again when it crashed, or always when it ended by itself",
      },
      vmm: {
        kind: "enum",
        values: vmmChoices,
        default: "auto",
        brief: "what runs it; auto takes the best that works here",
      },
      startOnBoot: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "start it whenever the host has booted",
      },
      noNetwork: { kind: "boolean", optional: true, withNegated: false, brief: "no network interface at all" },
      policy: {
        kind: "enum",
        values: policyModes,
        optional: true,
        brief: "a network policy of its own; without one the default holds",
      },
      ...policyFlags,
      start: { kind: "boolean", optional: true, withNegated: false, brief: "start it as well" },
      ...outputFlags,
    },
    aliases: { ...outputAliases, m: "memory" },
  },
  about: "A new VM gets a workspace of its own, a copy-on-write snapshot of the image, named as the VM.",
  examples: [
    ["vm create dev", "from the image base"],
    ["vm create dev --start", "and start it"],
    ["vm create big --vcpus 4 --memory 4G", "with more of the host"],
    ["vm create agent --preset npm --preset anthropic", "that reaches only what these need"],
    ["vm create again --workspace dev", "on a workspace that a deleted VM left"],
  ],
  async run(cli: Cli, flags: Flags, name: string) {
    if (flags.image !== undefined && flags.workspace !== undefined)
      throw new UsageError("--image and --workspace exclude each other", {
        why: ["a VM gets a new workspace of an image, or an existing one"],
      });
    const network = networkOf(flags);
    const body = {
      name,
      ...(flags.workspace === undefined ? { image: flags.image ?? "base" } : { workspace: flags.workspace }),
      ...(flags.vcpus === undefined ? {} : { vcpuCount: flags.vcpus }),
      ...(flags.memory === undefined ? {} : { memoryMiB: flags.memory }),
      vmm: flags.vmm,
      restart: flags.restart,
      startOnBoot: flags.startOnBoot ?? false,
      ...(network === undefined ? {} : { network }),
    };
    const created = await doing(`create VM "${name}"`, () => cli.client.call("vm.create", { body }));
    const { vm, startedMs } = flags.start
      ? await startVm(cli, flags, created.name, { wait: true })
      : { vm: created, startedMs: null };
    await show(cli, flags, vm, {
      names: [vm.name],
      human: () =>
        startedMs === null
          ? `${vm.name} created: ${vm.vcpuCount} vCPU, ${formatMiB(vm.memoryMiB)}, workspace ${vm.workspaceName}\n`
          : startedText(vm, startedMs),
    });
    cli.hint(startedMs === null ? `nexusctl vm start ${vm.name}` : `nexusctl vm exec ${vm.name} -- uname -a`);
  },
});

/** Nothing where nothing of it is asked for. */
function networkOf(flags: Flags): CreateVm["network"] {
  const policy = policyOf(flags.policy, flags);
  const isGiven = Object.keys(policy).length > 0;
  if (flags.noNetwork === true && isGiven)
    throw new UsageError("--no-network and a policy exclude each other", {
      why: ["a VM without an interface reaches nothing"],
    });
  if (flags.noNetwork === true) return { enabled: false };
  return isGiven ? { enabled: true, policy } : undefined;
}
