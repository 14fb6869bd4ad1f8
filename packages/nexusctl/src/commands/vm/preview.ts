import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { parseCount, text } from "../../parse.ts";
import { show } from "../../show.ts";

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "NAME", brief: "name or id of a VM", parse: text },
        { placeholder: "PORT", brief: "a port of the guest that speaks HTTP", parse: parseCount },
      ],
    },
    flags: outputFlags,
    aliases: outputAliases,
  },
  about:
    "The address opens once, within a minute, in a browser on this machine, and sets a cookie for half a day.\n" +
    "Without the cookie or the daemon's token the page is closed. WebSockets work.",
  examples: [["vm preview dev 3000", "an address to open"]],
  async run(cli: Cli, flags: OutputFlags, name: string, port: number) {
    const preview = await doing(`preview port ${port} of VM "${name}"`, () =>
      cli.client.call("vm.preview", { params: { vm: name, port: String(port) } }),
    );
    await show(cli, flags, preview, { names: [preview.urlWithTicket], human: () => `${preview.urlWithTicket}\n` });
  },
});
