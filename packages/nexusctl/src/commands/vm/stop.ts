import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { forEachName } from "../../each.ts";
import { doing } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { manyNames } from "../../parameters.ts";
import { parseDuration } from "../../parse.ts";
import { withProgress } from "../../progress.ts";
import { show } from "../../show.ts";

interface Flags extends OutputFlags {
  readonly grace?: number;
}

export default defineCommand({
  parameters: {
    positional: manyNames("name or id of a VM"),
    flags: {
      grace: {
        kind: "parsed",
        parse: parseDuration,
        optional: true,
        placeholder: "SECONDS",
        brief: "what it gets to shut down by itself before it is ended (default 10)",
      },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  examples: [
    ["vm stop dev", "asks it to shut down, and ends it after 10 seconds"],
    ["vm stop dev --grace 60", "gives it a minute"],
  ],
  async run(cli: Cli, flags: Flags, ...names: readonly string[]) {
    const code = await forEachName(cli, flags, names, async (name) => {
      const body = flags.grace === undefined ? {} : { graceMs: flags.grace };
      const vm = await doing(`stop VM "${name}"`, () =>
        withProgress(cli, flags, `stopping ${name}`, () => cli.client.call("vm.stop", { params: { vm: name }, body })),
      );
      await show(cli, flags, vm, {
        names: [vm.name],
        human: () => `${vm.name} ${vm.state}: ${printable(vm.stateReason)}\n`,
      });
    });
    if (code === 0) cli.hint(`nexusctl vm start ${names[0] ?? ""}`);
    return code;
  },
});
