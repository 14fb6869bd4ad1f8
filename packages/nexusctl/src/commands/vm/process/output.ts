import { cutFrames } from "@workfort/contract/output-frames";
import type { Process } from "@workfort/contract";
import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { offsetFlags, oneProcess, type OffsetFlags } from "../../../exec/process-parameters.ts";
import { doing } from "../../../failures.ts";

export default defineCommand({
  parameters: { positional: oneProcess, flags: offsetFlags },
  about:
    "stdout and stderr come as they are, each on its own. The guest holds the newest MiB of each, of ended ones too.",
  examples: [
    ["vm process output dev run-1f2e", "what is held now"],
    ["vm process output dev run-1f2e 2>/dev/null | tail", "the end of its stdout"],
  ],
  async run(cli: Cli, flags: OffsetFlags, name: string, id: string) {
    await doing(`read the output of process ${id} in VM "${name}"`, async () => {
      const query = { stdout: String(flags.stdout ?? 0), stderr: String(flags.stderr ?? 0) };
      const { body } = await cli.client.bytes("process.output", { params: { vm: name, process: id }, query });
      for await (const frame of cutFrames(body, (json) => json as Process)) {
        if (frame.kind === "stdout") await cli.out.pour(frame.bytes);
        if (frame.kind === "stderr") await cli.err.pour(frame.bytes);
      }
    });
  },
});
