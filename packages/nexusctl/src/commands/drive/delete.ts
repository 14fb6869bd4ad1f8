import type { Cli } from "../../cli.ts";
import { defineCommand, outputAliases, outputFlags, type OutputFlags } from "../../command.ts";
import { confirm } from "../../confirm.ts";
import { quoted, showDeleted } from "../../deleted.ts";
import { forEachName } from "../../each.ts";
import { exitCodes } from "../../exit-codes.ts";
import { doing } from "../../failures.ts";
import { manyNames, yesAlias, yesFlag } from "../../parameters.ts";
import { withProgress } from "../../progress.ts";

interface Flags extends OutputFlags {
  readonly yes?: boolean;
}

export default defineCommand({
  parameters: {
    positional: manyNames("name or id of a drive"),
    flags: { yes: yesFlag, ...outputFlags },
    aliases: { ...outputAliases, ...yesAlias },
  },
  examples: [["drive delete data", "asks first"]],
  async run(cli: Cli, flags: Flags, ...names: readonly string[]) {
    const command = ["nexusctl drive delete", ...names].join(" ");
    if (!flags.yes && !(await confirm(cli, `delete ${quoted("drive", names)}`, command))) return exitCodes.failure;
    const code = await forEachName(cli, flags, names, async (name) => {
      await doing(`delete drive "${name}"`, () =>
        withProgress(cli, flags, `deleting ${name}`, () =>
          cli.client.call("drive.delete", { params: { drive: name } }),
        ),
      );
      showDeleted(cli, flags, name);
    });
    if (code === 0) cli.hint("nexusctl drive list");
    return code;
  },
});
