import { followProcess } from "@workfort/client/run-process";
import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { offsetFlags, oneProcess, type OffsetFlags } from "../../../exec/process-parameters.ts";
import { exitCodeOf } from "../../../exec/run-in-guest.ts";
import { exitCodes } from "../../../exit-codes.ts";
import { doing } from "../../../failures.ts";
import { plural } from "../../../format/units.ts";

export default defineCommand({
  parameters: { positional: oneProcess, flags: offsetFlags },
  about:
    "stdout and stderr come as they are, each on its own, over restarts of the daemon too; the exit code is the\n" +
    "process's own. Ctrl-C ends the watching, not the process.",
  examples: [
    ["vm process attach dev run-1f2e", "what is held, and what comes"],
    ["vm process attach dev run-1f2e --stdout 4096", "from a byte on, as vm process list counts them"],
  ],
  async run(cli: Cli, flags: OffsetFlags, name: string, id: string) {
    let lostBytes = 0;
    const ended = await doing(`attach to process ${id} in VM "${name}"`, async () => {
      const { stdout, stderr } = await cli.client.call("process.get", { params: { vm: name, process: id } });
      const from = { stdout: flags.stdout ?? stdout.start, stderr: flags.stderr ?? stderr.start };
      return await followProcess(cli.client, name, id, from, {
        onStdout: (bytes) => cli.out.pour(bytes),
        onStderr: (bytes) => cli.err.pour(bytes),
        onGap: (output, bytes) => {
          lostBytes += bytes;
          cli.err.write(`nexusctl: ${plural(bytes, "byte")} of ${output} are no longer held\n`);
        },
      });
    });
    return exitCodeOf(ended) || (lostBytes > 0 ? exitCodes.failure : exitCodes.ok);
  },
});
