import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";
import { historyText } from "../../views/history.ts";

interface Flags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export default defineCommand({
  parameters: {
    positional: oneName("name or id of a VM"),
    flags: { ...outputFlags, quiet: { ...outputFlags.quiet, brief: "print only the states, newest first" } },
    aliases: { q: "quiet" },
  },
  examples: [["vm history dev", "what it went through and why, and where its boots spent their time"]],
  async run(cli: Cli, flags: Flags, name: string) {
    const history = await doing(`show the history of VM "${name}"`, () =>
      cli.client.call("vm.history", { params: { vm: name } }),
    );
    await show(cli, flags, history, {
      names: history.states.map(({ to }) => to),
      human: () => historyText(history, cli.now, cli.out.paint),
    });
  },
});
