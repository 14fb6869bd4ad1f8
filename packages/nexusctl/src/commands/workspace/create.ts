import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { doing } from "../../failures.ts";
import { oneName } from "../../parameters.ts";
import { text } from "../../parse.ts";
import { show } from "../../show.ts";

interface Flags extends OutputFlags {
  readonly image: string;
}

export default defineCommand({
  parameters: {
    positional: oneName("its name: a DNS label"),
    flags: {
      image: { kind: "parsed", parse: text, default: "base", placeholder: "IMAGE", brief: "master image" },
      ...outputFlags,
    },
    aliases: outputAliases,
  },
  about:
    "A VM makes its own workspace; this is for one that is prepared before, or shared between VMs one after another.",
  examples: [
    ["workspace create data", "a snapshot of the image base"],
    ["vm create dev --workspace data", "a VM on it"],
  ],
  async run(cli: Cli, flags: Flags, name: string) {
    const workspace = await doing(`create workspace "${name}"`, () =>
      cli.client.call("workspace.create", { body: { name, image: flags.image } }),
    );
    await show(cli, flags, workspace, {
      names: [workspace.name],
      human: () => `${workspace.name} created from image ${workspace.imageName ?? flags.image}\n`,
    });
    cli.hint(`nexusctl vm create dev --workspace ${workspace.name}`);
  },
});
