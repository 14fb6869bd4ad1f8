import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import type { FileChange } from "@workfort/contract";
import { printable } from "../../../format/colour.ts";

interface Flags extends UserFlags {
  readonly recursive?: boolean;
}

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: {
      user: userFlag,
      recursive: { kind: "boolean", optional: true, withNegated: false, brief: "the directories in it, too" },
      json: outputFlags.json,
    },
    aliases: { u: "user", r: "recursive" },
  },
  about: "Until Ctrl-C, or until the directory has gone. `overflow` says that changes were lost.",
  examples: [["vm file watch dev:/srv --recursive", "a line for each change"]],
  async run(cli: Cli, flags: Flags, place: string) {
    const { params, query } = askAt(place, flags);
    const recursive = flags.recursive === true ? "true" : "false";
    await doing(`watch ${place}`, async () => {
      const { body } = await cli.client.bytes("vm.files.watch", { params, query: { ...query, recursive } });
      let held = "";
      const decoder = new TextDecoder();
      for await (const bytes of body) {
        const lines = (held + decoder.decode(bytes, { stream: true })).split("\n");
        held = lines.pop() ?? "";
        for (const line of lines) cli.out.write(flags.json === true ? `${line}\n` : shown(line));
      }
    });
  },
});

function shown(line: string): string {
  const { event, path, isDirectory } = JSON.parse(line) as FileChange;
  return `${event.padEnd(10)}  ${printable(path)}${isDirectory && path !== "" ? "/" : ""}\n`;
}
