import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { parseCount, text } from "../../../parse.ts";
import { show } from "../../../show.ts";

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "NAME", brief: "name or id of a VM", parse: text },
        { placeholder: "TERMINAL", brief: "id of a terminal", parse: text },
        { placeholder: "COLUMNS", brief: "1 to 1000", parse: parseCount },
        { placeholder: "ROWS", brief: "1 to 1000", parse: parseCount },
      ],
    },
    flags: outputFlags,
    aliases: outputAliases,
  },
  about: "A viewer that is attached gives it its own size again when that changes.",
  examples: [["vm terminal resize dev main 120 40", "its programs are told (SIGWINCH)"]],
  async run(cli: Cli, flags: OutputFlags, vm: string, terminal: string, columns: number, rows: number) {
    const result = await doing(`resize terminal ${terminal} of VM "${vm}"`, () =>
      cli.client.call("vm.terminal.resize", { params: { vm, terminal }, body: { columns, rows } }),
    );
    await show(cli, flags, result, {
      names: [result.id],
      human: () => `${result.id} has ${result.columns} columns and ${result.rows} rows\n`,
    });
  },
});
