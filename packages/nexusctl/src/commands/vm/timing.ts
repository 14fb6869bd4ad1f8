import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";
import { timingOf, timingText } from "../../views/timing.ts";

interface Flags {
  readonly json?: boolean;
}

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: { json: outputFlags.json } },
  about: "Over the boots that are kept, the newest 100. Percentiles are of values that were measured (nearest rank).",
  examples: [["vm timing dev", "where its newest boot spent its time, and how that compares"]],
  async run(cli: Cli, flags: Flags, name: string) {
    const history = await doing(`show the timing of VM "${name}"`, () =>
      cli.client.call("vm.history", { params: { vm: name } }),
    );
    const timing = timingOf(history);
    await show(cli, flags, timing, {
      names: [],
      human: () => (timing === null ? `no boot of ${name} became ready\n` : timingText(timing, cli.now, cli.out.paint)),
    });
    if (timing === null) cli.hint(`nexusctl vm start ${name}`);
  },
});
