import type { Forward } from "@workfort/contract";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { parseForward, type ForwardEnds } from "../../forward/specification.ts";
import { text } from "../../parse.ts";
import { show } from "../../show.ts";
import { forwardText } from "../../views/forward.ts";

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { placeholder: "NAME", brief: "name or id of a VM", parse: text },
        {
          placeholder: "ENDS",
          brief: "where to listen and where it leads, for example 8080:3000",
          parse: parseForward,
        },
      ],
    },
    flags: outputFlags,
    aliases: outputAliases,
  },
  about:
    "Connections go through the VM's agent to its loopback, so that the VM needs no network. It listens on 127.0.0.1\n" +
    "unless an address is given, until it or its VM is deleted.",
  examples: [
    ["vm forward dev 8080:3000", "the host's port 8080 is port 3000 of dev"],
    ["vm forward dev :3000", "a free port of the host"],
    ["vm forward dev 0.0.0.0:8080:3000", "for other machines, too"],
    ["vm forward dev 5432:/run/postgresql/.s.PGSQL.5432", "to a Unix socket in the guest"],
  ],
  async run(cli: Cli, flags: OutputFlags, name: string, ends: ForwardEnds) {
    const forward: Forward = await doing(`forward into VM "${name}"`, () =>
      cli.client.call("forward.create", { params: { vm: name }, body: ends }),
    );
    await show(cli, flags, forward, { names: [forward.id], human: () => `${forwardText(forward)}\n` });
    cli.hint(`nexusctl forward delete ${forward.id}`);
  },
});
