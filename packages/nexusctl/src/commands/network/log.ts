import { readDenials } from "@workfort/client/denials";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { parseCount, text } from "../../parse.ts";
import { denialLine } from "../../views/network.ts";

interface Flags {
  readonly follow?: boolean;
  readonly vm?: string;
  readonly after?: number;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    flags: {
      follow: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "go on with what comes, until Ctrl-C, over restarts of the daemon",
      },
      vm: { kind: "parsed", parse: text, optional: true, placeholder: "NAME", brief: "only of this VM" },
      after: {
        kind: "parsed",
        parse: parseCount,
        optional: true,
        placeholder: "NUMBER",
        brief: "only those behind this one",
      },
      json: { ...outputFlags.json, brief: "print each as a line of JSON" },
    },
    aliases: { f: "follow" },
  },
  about: "Names are those that the guest asked for. The newest 4096 are held; equal ones within a second are one.",
  examples: [
    ["network log --vm dev", "what dev wanted and did not get"],
    ["network log --follow", "of all VMs, as it comes"],
    ["network log --json | jq .name", "for programs"],
  ],
  async run(cli: Cli, { json, ...options }: Flags) {
    await doing("read the network's log", async () => {
      for await (const denial of readDenials(cli.client, options)) {
        const line = json === true ? `${JSON.stringify(denial)}\n` : denialLine(denial, cli.out.paint);
        await cli.out.pour(Buffer.from(line));
      }
    });
  },
});
