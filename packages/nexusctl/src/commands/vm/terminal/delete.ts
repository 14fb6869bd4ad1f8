import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { showDeleted } from "../../../deleted.ts";
import { doing } from "../../../failures.ts";
import { text } from "../../../parse.ts";

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "NAME", brief: "name or id of a VM", parse: text },
        { placeholder: "TERMINAL", brief: "id of a terminal", parse: text },
      ],
    },
    flags: outputFlags,
    aliases: outputAliases,
  },
  about: "Its programs are told that their terminal is gone (SIGHUP), and killed 2 s later.",
  examples: [["vm terminal delete dev main", "whatever runs on it"]],
  async run(cli: Cli, flags: OutputFlags, vm: string, terminal: string) {
    await doing(`delete terminal ${terminal} of VM "${vm}"`, () =>
      cli.client.call("vm.terminal.delete", { params: { vm, terminal } }),
    );
    showDeleted(cli, flags, terminal);
  },
});
