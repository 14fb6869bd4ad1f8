import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { text } from "../../parse.ts";
import { show } from "../../show.ts";
import { forwardTable } from "../../views/forward.ts";

interface Flags extends OutputFlags {
  readonly vm?: string;
}

export default defineCommand({
  parameters: {
    flags: {
      vm: { kind: "parsed", parse: text, optional: true, placeholder: "NAME", brief: "only those into this VM" },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  examples: [["forward list", "a line for each"]],
  async run(cli: Cli, flags: Flags) {
    const result = await cli.client.call("forward.list", { query: flags.vm === undefined ? {} : { vm: flags.vm } });
    const { forwards } = result;
    await show(cli, flags, result, {
      names: forwards.map(({ id }) => id),
      human: () => (forwards.length === 0 ? "" : forwardTable(forwards, cli.now, cli.out.paint)),
    });
    if (forwards.length > 0 || flags.json || flags.quiet) return;
    cli.err.write("there are no forwards\n");
    cli.hint("nexusctl vm forward dev 8080:3000");
  },
});
