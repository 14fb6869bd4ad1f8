import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { processAndSignal } from "../../../exec/process-parameters.ts";
import { doing } from "../../../failures.ts";
import { parseSignal } from "../../../parse.ts";

export default defineCommand({
  parameters: { positional: processAndSignal },
  about: "It goes to the process and to what it has started in its group.",
  examples: [["vm process signal dev run-1f2e TERM", "ask it to end"]],
  async run(cli: Cli, _flags: object, name: string, id: string, signal: string) {
    await doing(`signal process ${id} in VM "${name}"`, () =>
      cli.client.call("process.signal", { params: { vm: name, process: id }, body: { signal: parseSignal(signal) } }),
    );
  },
});
