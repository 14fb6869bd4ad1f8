import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { oneProcess } from "../../../exec/process-parameters.ts";
import { doing } from "../../../failures.ts";

export default defineCommand({
  parameters: { positional: oneProcess },
  about: "What is held of its output goes with it.",
  examples: [["vm process delete dev run-1f2e", "once it has ended"]],
  async run(cli: Cli, _flags: object, name: string, id: string) {
    await doing(`forget process ${id} in VM "${name}"`, () =>
      cli.client.call("process.delete", { params: { vm: name, process: id } }),
    );
  },
});
