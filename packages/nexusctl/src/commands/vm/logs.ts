import type { Cli } from "../../cli.ts";
import { defineCommand } from "../../command.ts";
import { followConsole, readConsole } from "../../console.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { parseTail } from "../../parse.ts";
import { tailStart } from "../../tail.ts";

interface Flags {
  readonly follow?: boolean;
  readonly tail: number | null;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    positional: oneName("name or id of a VM"),
    flags: {
      follow: { kind: "boolean", optional: true, withNegated: false, brief: "go on as output comes" },
      tail: {
        kind: "parsed",
        parse: parseTail,
        default: "200",
        placeholder: "LINES",
        brief: "how much of what is there, or all",
      },
      json: { kind: "boolean", optional: true, withNegated: false, brief: 'print each line as {"line": …}' },
    },
    aliases: { f: "follow", n: "tail" },
  },
  about: "The console: what kernel and agent say. The daemon holds a bounded piece of it, of a stopped VM too.",
  examples: [
    ["vm logs dev", "the last 200 lines"],
    ["vm logs dev --follow --tail 0", "only what comes from now on"],
    ["vm logs dev --tail all | less", "all that is held"],
  ],
  async run(cli: Cli, { follow, tail, json }: Flags, name: string) {
    const print = json ? new JsonLines(cli) : cli.out;
    await doing(`read the console of VM "${name}"`, async () => {
      const held = await readConsole(cli, name);
      const start = tailStart(held, tail);
      if (!follow) return await print.pour(held.subarray(start));
      for await (const bytes of followConsole(cli, name, held.length, held.length - start)) await print.pour(bytes);
    });
    if (print instanceof JsonLines) print.end();
  },
});

/** A console as one JSON object a line. */
class JsonLines {
  readonly #cli: Cli;
  readonly #decoder = new TextDecoder();
  #held = "";

  constructor(cli: Cli) {
    this.#cli = cli;
  }

  async pour(bytes: Uint8Array): Promise<void> {
    const lines = (this.#held + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#held = lines.pop() ?? "";
    for (const line of lines) this.#print(line);
  }

  end(): void {
    if (this.#held !== "") this.#print(this.#held);
  }

  #print(line: string): void {
    this.#cli.out.write(`${JSON.stringify({ line: line.replace(/\r$/, "") })}\n`);
  }
}
