import type { Cli } from "../../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../../command.ts";
import { doing } from "../../../failures.ts";
import { parseCount, text } from "../../../parse.ts";
import { show } from "../../../show.ts";

interface Flags extends OutputFlags {
  readonly port: number;
  readonly target: string;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ placeholder: "NAME", brief: "its name, in policies and in the guests' DNS", parse: text }],
    },
    flags: {
      port: { kind: "parsed", parse: parseCount, placeholder: "PORT", brief: "port in the guest" },
      target: {
        kind: "parsed",
        parse: text,
        placeholder: "TARGET",
        brief: "where it leads: address:port of the host, or unix: and a path",
      },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about: "A VM can use it once its policy names it: nexusctl network policy set VM --service NAME.",
  examples: [
    ["network service create models --port 11434 --target 127.0.0.1:11434", "a model that the host serves"],
    ["network service create mirror --port 8080 --target unix:/run/mirror.sock", "a package mirror on a socket"],
  ],
  async run(cli: Cli, flags: Flags, name: string) {
    const body = { name, port: flags.port, target: flags.target };
    const service = await doing(`create service "${name}"`, () => cli.client.call("service.create", { body }));
    await show(cli, flags, service, {
      names: [service.name],
      human: () => `${service.name} created: ${service.name}.workfort.internal:${service.port} in guests\n`,
    });
    cli.hint(`nexusctl network policy set VM --service ${service.name}`);
  },
});
