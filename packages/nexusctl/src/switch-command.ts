import type { Cli } from "./cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "./command.ts";
import { forEachName } from "./each.ts";
import { doing } from "./failures.ts";
import { printable } from "./format/colour.ts";
import { manyNames } from "./parameters.ts";
import { show } from "./show.ts";

/** `vm pause` and `vm resume`, which differ in words alone. */
export function switchCommand(verb: "pause" | "resume", words: { about: string; example: string; next: string }) {
  return defineCommand({
    parameters: { positional: manyNames("name or id of a VM"), flags: outputFlags, aliases: outputAliases },
    about: words.about,
    examples: [[`vm ${verb} dev`, words.example]],
    async run(cli: Cli, flags: OutputFlags, ...names: readonly string[]) {
      const code = await forEachName(cli, flags, names, async (name) => {
        const params = { vm: name };
        const vm = await doing(`${verb} VM "${name}"`, () => cli.client.call(`vm.${verb}`, { params }));
        await show(cli, flags, vm, {
          names: [vm.name],
          human: () => `${vm.name} ${vm.state}: ${printable(vm.stateReason)}\n`,
        });
      });
      if (code === 0) cli.hint(`nexusctl vm ${words.next} ${names[0] ?? ""}`);
      return code;
    },
  });
}
