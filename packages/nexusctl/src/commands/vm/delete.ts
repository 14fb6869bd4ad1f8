import { WorkfortError } from "@workfort/contract/errors";
import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { confirm } from "../../confirm.ts";
import { forEachName } from "../../each.ts";
import { exitCodes } from "../../exit-codes.ts";
import { doing } from "../../failures.ts";
import { manyNames, yesAlias, yesFlag } from "../../parameters.ts";
import { withProgress } from "../../progress.ts";
import { quoted, showDeleted } from "../../deleted.ts";

interface Flags extends OutputFlags {
  readonly force?: boolean;
  readonly keepWorkspace?: boolean;
  readonly yes?: boolean;
}

export default defineCommand({
  parameters: {
    positional: manyNames("name or id of a VM"),
    flags: {
      force: { kind: "boolean", optional: true, withNegated: false, brief: "kill it first if it runs" },
      keepWorkspace: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "leave its workspace (its disk) in place",
      },
      yes: yesFlag,
      ...outputFlags,
    },
    aliases: { ...outputAliases, ...yesAlias, f: "force" },
  },
  about: "Its data drives are detached and stay.",
  examples: [
    ["vm delete dev", "asks first; its workspace goes with it"],
    ["vm delete dev --yes --force", "for scripts, whether it runs or not"],
    ["vm delete dev --keep-workspace", "its disk can be given to another VM"],
  ],
  async run(cli: Cli, flags: Flags, ...names: readonly string[]) {
    const what = `delete ${quoted("VM", names)} ${flags.keepWorkspace ? "but keep" : "with"} ${names.length === 1 ? "its workspace" : "their workspaces"}`;
    const command = [
      "nexusctl vm delete",
      ...names,
      ...(flags.force ? ["--force"] : []),
      ...(flags.keepWorkspace ? ["--keep-workspace"] : []),
    ].join(" ");
    if (!flags.yes && !(await confirm(cli, what, command))) return exitCodes.failure;
    const code = await forEachName(cli, flags, names, async (name) => {
      await doing(`delete VM "${name}"`, () =>
        withProgress(cli, flags, `deleting ${name}`, () => remove(cli, name, flags)),
      );
      showDeleted(cli, flags, name);
    });
    if (code === 0) cli.hint(flags.keepWorkspace ? "nexusctl workspace list" : "nexusctl vm list");
    return code;
  },
});

async function remove(cli: Cli, name: string, { force, keepWorkspace }: Flags): Promise<void> {
  const params = { vm: name };
  if (force) {
    await cli.client.call("vm.kill", { params }).catch((error: unknown) => {
      if (!(error instanceof WorkfortError && error.code === "wrong_state")) throw error; // it does not run
    });
  }
  await cli.client.call("vm.delete", { params, query: { keepWorkspace: keepWorkspace ? "true" : "false" } });
}
