import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { parseCount, parseSize, text } from "../../parse.ts";
import { show } from "../../show.ts";
import { attachmentText } from "../../views/drive.ts";

interface Flags extends OutputFlags {
  readonly mount?: string;
  readonly readOnly?: boolean;
  readonly bandwidth?: number;
  readonly iops?: number;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "DRIVE", brief: "name or id of a drive", parse: text },
        { placeholder: "VM", brief: "name or id of a VM", parse: text },
      ],
    },
    flags: {
      mount: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "PATH",
        brief: "where the guest mounts it, made if it is not there; without it a bare device",
      },
      readOnly: { kind: "boolean", optional: true, withNegated: false, brief: "the guest cannot write to it" },
      bandwidth: {
        kind: "parsed",
        parse: parseSize,
        optional: true,
        placeholder: "SIZE",
        brief: "most that is read and written in a second, for example 50M",
      },
      iops: {
        kind: "parsed",
        parse: parseCount,
        optional: true,
        placeholder: "N",
        brief: "most reads and writes in a second",
      },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about: "It takes effect when the VM starts. A drive is attached to one VM at a time, and a VM has at most 15.",
  examples: [
    ["drive attach data dev --mount /work", "the guest finds it at /work"],
    ["drive attach refs dev --mount /refs --read-only", "to be read only"],
    ["drive attach scratch dev --bandwidth 50M --iops 1000", "a bare device with limits"],
  ],
  async run(cli: Cli, flags: Flags, name: string, vm: string) {
    const { bandwidth, iops } = flags;
    const limits = {
      ...(bandwidth === undefined ? {} : { bytesPerSecond: bandwidth }),
      ...(iops === undefined ? {} : { operationsPerSecond: iops }),
    };
    const body = {
      vm,
      ...(flags.mount === undefined ? {} : { mountPath: flags.mount }),
      readOnly: flags.readOnly ?? false,
      ...(Object.keys(limits).length === 0 ? {} : { rateLimit: limits }),
    };
    const drive = await doing(`attach drive "${name}" to VM "${vm}"`, () =>
      cli.client.call("drive.attach", { params: { drive: name }, body }),
    );
    await show(cli, flags, drive, {
      names: [drive.name],
      human: () => `${drive.name} attached to ${attachmentText(drive.attachment)}\n`,
    });
    cli.hint(`nexusctl vm start ${drive.attachment?.vmName ?? vm}`);
  },
});
