import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { oneProcess } from "../../../exec/process-parameters.ts";
import { doing } from "../../../failures.ts";

export default defineCommand({
  parameters: { positional: oneProcess },
  about: "KILL goes to the process and to what it has started in its group.",
  examples: [["vm process kill dev run-1f2e", "end it at once"]],
  async run(cli: Cli, _flags: object, name: string, id: string) {
    await doing(`kill process ${id} in VM "${name}"`, () =>
      cli.client.call("process.signal", { params: { vm: name, process: id }, body: { signal: "KILL" } }),
    );
  },
});
