import { setTimeout as delay } from "node:timers/promises";
import type { GuestStats } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { parseDuration } from "../../parse.ts";
import { showAgain } from "../../live-screen.ts";
import { topText } from "../../views/top.ts";

interface Flags {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly interval: number;
}

/** what shares of processors are measured over where only one table is printed, in `ms` */
const sampleMs = 500;
const leastIntervalMs = 200;

export default defineCommand({
  parameters: {
    positional: oneName("name or id of a VM"),
    flags: {
      once: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "print one table; so where it is no terminal",
      },
      interval: {
        kind: "parsed",
        parse: parseDuration,
        default: "2s",
        placeholder: "TIME",
        brief: "between two tables, from 200ms",
      },
      json: { kind: "boolean", optional: true, withNegated: false, brief: "print the daemon's answer as JSON, once" },
    },
  },
  about: "The guest's own word; what the VM uses of the host is told by vm metrics. q or Ctrl-C ends it.",
  examples: [
    ["vm top dev", "a table that changes"],
    ["vm top dev --once", "one table"],
    ["vm top dev --json | jq .memory", "all that the guest tells"],
  ],
  async run(cli: Cli, { once, json, interval }: Flags, name: string) {
    const ask = async (): Promise<GuestStats> =>
      await doing(`show what runs in VM "${name}"`, () => cli.client.call("vm.stats", { params: { vm: name } }));
    if (json) {
      cli.out.write(`${JSON.stringify(await ask(), null, cli.out.isTty ? 2 : undefined)}\n`);
      return;
    }
    let before = await ask();
    if (once || !cli.out.isTty) {
      await delay(sampleMs);
      cli.out.write(await topText(await ask(), before, cli.out.paint, { lines: Infinity, columns: cli.out.columns }));
      return;
    }
    await showAgain(cli, Math.max(leastIntervalMs, interval), async (size) => {
      const now = await ask();
      const text = await topText(now, now.uptimeMs > before.uptimeMs ? before : null, cli.out.paint, size);
      before = now;
      return text;
    });
  },
});
