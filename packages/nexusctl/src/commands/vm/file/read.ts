import type { Cli } from "../../../cli.ts";
import { defineCommand } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: { user: userFlag },
    aliases: { u: "user" },
  },
  examples: [["vm file read dev:/etc/hostname", "as it is"]],
  async run(cli: Cli, flags: Pick<UserFlags, "user">, place: string) {
    await doing(`read ${place}`, async () => {
      const { body } = await cli.client.bytes("vm.files.read", askAt(place, flags));
      for await (const bytes of body) await cli.out.pour(bytes);
    });
  },
});
