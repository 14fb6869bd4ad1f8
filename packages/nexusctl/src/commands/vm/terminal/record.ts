import { AttachedTerminal } from "@workfort/client/terminal";
import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { text } from "../../../parse.ts";
import { Recording } from "../../../terminal/recording.ts";

interface Flags {
  readonly terminal?: string;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "NAME", brief: "name or id of a VM", parse: text },
        {
          placeholder: "FILE.cast",
          brief: "asciicast v2, for asciinema to play; one that is there is replaced",
          parse: text,
        },
      ],
    },
    flags: {
      terminal: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "ID",
        brief: "which terminal (default main)",
      },
    },
    aliases: { t: "terminal" },
  },
  about:
    "From what it shows now until its program ends, or until Ctrl-C; over restarts of the daemon, too. It looks on as\n" +
    "vm attach --read-only does, and needs no terminal itself.",
  examples: [
    ["vm terminal record dev work.cast", "what happens at main"],
    ["vm terminal record dev build.cast --terminal build &", "of another one, beside other work"],
  ],
  async run(cli: Cli, { terminal = "main" }: Flags, vm: string, file: string) {
    const ending = new AbortController();
    const end = (): void => ending.abort(new Error("enough is recorded"));
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
    const recording = await Recording.create(file);
    const view = new AttachedTerminal(cli.client, {
      vm,
      terminal,
      create: null,
      size: () => null,
      readOnly: true,
      signal: ending.signal,
      onScreen: (size) => recording.screen(size),
      onOutput: (bytes) => recording.output(bytes),
      onSize: (size) => recording.size(size),
    });
    try {
      await doing(`record terminal ${terminal} of VM "${vm}"`, () => view.toEnd());
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    } finally {
      await recording.close();
    }
  },
});
