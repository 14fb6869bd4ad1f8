import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { forEachName } from "../../each.ts";
import { manyNames } from "../../parameters.ts";
import { parseDuration } from "../../parse.ts";
import { show } from "../../show.ts";
import { startedText, startVm } from "../../start-vm.ts";

interface Flags extends OutputFlags {
  readonly noWait?: boolean;
  readonly timeout?: number;
}

export default defineCommand({
  parameters: {
    positional: manyNames("name or id of a VM"),
    flags: {
      noWait: { kind: "boolean", optional: true, withNegated: false, brief: "do not wait until its agent answers" },
      timeout: {
        kind: "parsed",
        parse: parseDuration,
        optional: true,
        placeholder: "TIME",
        brief: "how long to wait for its agent (default 2m); the VM runs on after that",
      },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  examples: [
    ["vm start dev", "and wait until commands can be run in it"],
    ["vm start a b c", "one after the other; goes on where one fails"],
    ["vm start dev --no-wait", "only start it"],
  ],
  async run(cli: Cli, flags: Flags, ...names: readonly string[]) {
    const code = await forEachName(cli, flags, names, async (name) => {
      const { vm, startedMs } = await startVm(cli, flags, name, { wait: !flags.noWait, timeoutMs: flags.timeout });
      await show(cli, flags, vm, { names: [vm.name], human: () => startedText(vm, startedMs) });
    });
    if (code === 0) cli.hint(`nexusctl vm exec ${names[0] ?? ""} -- uname -a`);
    return code;
  },
});
