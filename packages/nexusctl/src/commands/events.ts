import { watchEvents } from "@workfort/client/events";
import type { ChangeType } from "@workfort/contract";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { doing } from "../failures.ts";
import { text } from "../parse.ts";
import { eventLine } from "../views/event.ts";

interface Flags {
  readonly vm?: string;
  readonly type?: readonly string[];
  readonly since?: string;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    flags: {
      vm: { kind: "parsed", parse: text, optional: true, placeholder: "NAME", brief: "only of this VM" },
      type: {
        kind: "parsed",
        parse: text,
        optional: true,
        variadic: true,
        placeholder: "TYPE",
        brief: "only of this type, for example vm.created",
      },
      since: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "ID",
        brief: "first what came after this event, as far as it is held",
      },
      json: { kind: "boolean", optional: true, withNegated: false, brief: "print each as a line of JSON" },
    },
  },
  about: "Goes on until Ctrl-C, over restarts of the daemon too. What may have been missed is told as a gap.",
  examples: [
    ["events", "everything"],
    ["events --vm dev --type vm.state_changed", "the states of one VM"],
    ["events --json | jq .type", "for programs; each has its id for --since"],
  ],
  async run(cli: Cli, { vm, type, since, json }: Flags) {
    const options = { vm, types: type as readonly ChangeType[] | undefined, after: since };
    await doing("watch events", async () => {
      for await (const event of watchEvents(cli.client, options)) {
        const line = json ? `${JSON.stringify(event)}\n` : eventLine(event, cli.out.paint);
        await cli.out.pour(Buffer.from(line));
      }
    });
  },
});
