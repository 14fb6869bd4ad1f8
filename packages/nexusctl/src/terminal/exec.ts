import type { ProcessToRun } from "@workfort/client/run-process";
import type { Cli } from "../cli.ts";
import { attach, exitCodeOf } from "./attach.ts";

/** how long the guest may take to hang a terminal up, in `ms` */
const deleteMs = 6000;

/** Runs a command in a VM on a terminal of its own, which goes with it. */
export async function runOnTerminal(cli: Cli, vm: string, { argv, env, cwd, user }: ProcessToRun): Promise<number> {
  const terminal = `exec-${process.getBuiltinModule("node:crypto").randomBytes(8).toString("hex")}`;
  const create = {
    argv,
    ...(env === undefined ? {} : { env }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(user === undefined ? {} : { user }),
  };
  try {
    const outcome = await attach(cli, {
      vm,
      terminal,
      create,
      readOnly: false,
      takeOver: false,
      detachKeys: null,
      recording: null,
      withoutTerminal: `nexusctl vm exec ${vm} -- …   (without -t)`,
    });
    return exitCodeOf(outcome);
  } finally {
    const signal = AbortSignal.timeout(deleteMs);
    await cli.client.call("vm.terminal.delete", { params: { vm, terminal } }, { signal }).catch(() => {});
  }
}
