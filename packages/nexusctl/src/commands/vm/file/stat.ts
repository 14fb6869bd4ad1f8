import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import { renderPairs } from "../../../format/table.ts";
import { formatBytes, formatTime } from "../../../format/units.ts";
import { printable } from "../../../format/colour.ts";
import { show } from "../../../show.ts";

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: { user: userFlag, json: outputFlags.json },
    aliases: { u: "user" },
  },
  examples: [["vm file stat dev:/etc/passwd", "its type, size, mode and owner"]],
  async run(cli: Cli, flags: UserFlags, place: string) {
    const found = await doing(`look at ${place}`, () => cli.client.call("vm.files.stat", askAt(place, flags)));
    await show(cli, flags, found, {
      names: [],
      human: () =>
        renderPairs(
          [
            ["Path", printable(found.path)],
            ["Type", found.type],
            ["Target", found.target === null ? null : printable(found.target)],
            ["Size", `${formatBytes(found.sizeBytes)} (${found.sizeBytes} B)`],
            ["Mode", found.mode],
            ["Owner", `${found.uid}:${found.gid}`],
            ["Modified", formatTime(found.modifiedAt)],
            ["Links", String(found.links)],
          ],
          cli.out.paint,
        ),
    });
  },
});
