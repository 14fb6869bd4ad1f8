import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { show } from "../../show.ts";
import { metricsText } from "../../views/metrics.ts";

interface Flags {
  readonly json?: boolean;
}

export default defineCommand({
  parameters: { positional: oneName("name or id of a VM"), flags: { json: outputFlags.json } },
  about:
    "The host's view, counted from the VM's start on, or by Firecracker from the daemon's. For Prometheus: GET /v1/metrics.",
  examples: [["vm metrics dev", "processor time, memory, and what its disks have read and written"]],
  async run(cli: Cli, flags: Flags, name: string) {
    const metrics = await doing(`show the metrics of VM "${name}"`, () =>
      cli.client.call("vm.metrics", { params: { vm: name } }),
    );
    await show(cli, flags, metrics, { names: [], human: () => metricsText(metrics, cli.out.paint) });
  },
});
