import type { Cli } from "../../cli.ts";
import { defineCommand } from "../../command.ts";
import { followConsole, readConsole } from "../../console.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { tailStart } from "../../tail.ts";

/** about what a terminal shows at once */
const lines = 25;

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: {} },
  about:
    "The last lines of the serial console and what comes, until Ctrl-C. It is there before the agent is, and when a\n" +
    "kernel panics. Nothing in the guest reads it, so there is nothing to type: vm attach is a terminal.",
  examples: [
    ["vm console dev", "look on while it boots"],
    ["vm logs dev --tail all", "all that is held, and as JSON"],
  ],
  async run(cli: Cli, _flags: object, name: string) {
    await doing(`show the console of VM "${name}"`, async () => {
      const held = await readConsole(cli, name);
      const wanted = held.length - tailStart(held, lines);
      for await (const bytes of followConsole(cli, name, held.length, wanted)) await cli.out.pour(bytes);
    });
  },
});
