import type { CreatedToken, CreateToken } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing, UsageError } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { parseCount, parseDuration, parseMemory, text } from "../../parse.ts";
import { show } from "../../show.ts";

interface Flags extends OutputFlags {
  readonly vm?: readonly string[];
  readonly allVms?: boolean;
  readonly tool?: readonly string[];
  readonly ownVms?: number;
  readonly memory?: number;
  readonly vcpus?: number;
  readonly expires?: number;
}

export default defineCommand({
  parameters: {
    positional: oneName("its name: a DNS label, for example that of the client"),
    flags: {
      vm: {
        kind: "parsed",
        parse: text,
        variadic: true,
        optional: true,
        placeholder: "VM",
        brief: "VM that it may touch; may be repeated",
      },
      allVms: { kind: "boolean", optional: true, withNegated: false, brief: "every VM, those to come as well" },
      tool: {
        kind: "parsed",
        parse: text,
        variadic: true,
        optional: true,
        placeholder: "TOOL",
        brief: "tool that it may use; all if none is named",
      },
      ownVms: {
        kind: "parsed",
        parse: parseCount,
        optional: true,
        placeholder: "COUNT",
        brief: "how many VMs of its own it may create and have at a time (default 0)",
      },
      memory: {
        kind: "parsed",
        parse: parseMemory,
        optional: true,
        placeholder: "SIZE",
        brief: "most memory of a VM of its own",
      },
      vcpus: {
        kind: "parsed",
        parse: parseCount,
        optional: true,
        placeholder: "COUNT",
        brief: "most virtual CPUs of a VM of its own",
      },
      expires: {
        kind: "parsed",
        parse: parseDuration,
        optional: true,
        placeholder: "TIME",
        brief: "for how long it is good, for example 12h (default: until revoked)",
      },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about:
    "A token opens MCP over TCP, and of it what is named here; the API itself stays the owner's. Its secret is shown once.",
  examples: [
    ["token create claude --vm dev", "work in one VM"],
    ["token create manager --own-vms 5 --memory 4G --expires 12h", "VMs of its own, and no others"],
    ["token create reader --all-vms --tool vm_list --tool vm_logs", "look, and touch nothing"],
  ],
  async run(cli: Cli, flags: Flags, name: string) {
    if (flags.allVms === true && flags.vm !== undefined) throw new UsageError("--vm and --all-vms exclude each other");
    if (flags.allVms !== true && flags.vm === undefined && flags.ownVms === undefined)
      throw new UsageError("a token needs something to open", { hint: `nexusctl token create ${name} --vm dev` });
    const body: CreateToken = {
      name,
      vms: flags.allVms === true ? null : [...(flags.vm ?? [])],
      maxVms: flags.ownVms ?? 0,
      ...(flags.tool === undefined ? {} : { tools: [...flags.tool] }),
      ...(flags.memory === undefined ? {} : { maxMemoryMiB: flags.memory }),
      ...(flags.vcpus === undefined ? {} : { maxVcpuCount: flags.vcpus }),
      ...(flags.expires === undefined ? {} : { expiresInSeconds: Math.round(flags.expires / 1000) }),
    };
    const token = await doing(`create token "${name}"`, () => cli.client.call("token.create", { body }));
    const { tcp } = await cli.client.call("system.status");
    await show(cli, flags, token, { names: [token.secret], human: () => createdText(token, flags, tcp) });
    cli.hint("nexusctl token list");
  },
});

/** The secret, and where it opens what. */
function createdText({ name, secret }: CreatedToken, { vm }: Flags, tcp: string | null): string {
  const path = vm?.length === 1 ? `/v1/vms/${vm[0]}/mcp` : "/mcp";
  const where = tcp === null ? "TCP is off: set api.listen in nexus.yaml, and restart nexusd" : `http://${tcp}${path}`;
  return `${name} created; this is shown only now:\n${secret}\nMCP      ${where}\nheader   Authorization: Bearer ${secret}\n`;
}
