import { waitForProcess } from "@workfort/client/run-process";
import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { oneProcess } from "../../../exec/process-parameters.ts";
import { exitCodeOf } from "../../../exec/run-in-guest.ts";
import { doing } from "../../../failures.ts";
import { show } from "../../../show.ts";

interface Flags {
  readonly json?: boolean;
}

export default defineCommand({
  parameters: { positional: oneProcess, flags: { json: outputFlags.json } },
  about: "The exit code is the process's own.",
  examples: [["vm process wait dev run-1f2e", "until it has ended"]],
  async run(cli: Cli, flags: Flags, name: string, id: string) {
    const ended = await doing(`wait for process ${id} in VM "${name}"`, () => waitForProcess(cli.client, name, id));
    await show(cli, flags, ended, { names: [], human: () => "" });
    return exitCodeOf(ended);
  },
});
