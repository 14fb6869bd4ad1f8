import { newProcessId, runProcess, type ProcessToRun } from "@workfort/client/run-process";
import type { Process } from "@workfort/contract";
import { brokenPipe, type Cli } from "../cli.ts";
import { exitCodes } from "../exit-codes.ts";
import { doing } from "../failures.ts";
import { plural } from "../format/units.ts";
import { Kept } from "./kept.ts";
import { signalNumber, Signals } from "./signals.ts";

/** how long the guest may take to forget a process that has ended, in `ms` */
const forgetMs = 1000;

/** Runs a command in a VM as if it ran here: outputs, input, signals, exit code. */
export async function runInGuest(
  cli: Cli,
  vm: string,
  command: ProcessToRun,
  options: { stdin: boolean; json: boolean },
): Promise<number> {
  const start = { ...command, id: newProcessId() };
  const params = { vm, process: start.id };
  const kept = options.json ? new Kept() : null;
  const signals = new Signals(async (signal) => {
    await cli.client.call("process.signal", { params, body: { signal } });
  });
  cli.onBrokenPipe = () => void signals.end("PIPE").finally(() => process.exit(brokenPipe));
  let lostBytes = 0;
  const ended = await doing(`run ${command.argv[0] ?? ""} in VM "${vm}"`, () =>
    runProcess(cli.client, vm, start, {
      stdin: options.stdin ? process.stdin : undefined,
      onStdout: (bytes) => (kept === null ? cli.out.pour(bytes) : kept.stdout.push(bytes)),
      onStderr: (bytes) => (kept === null ? cli.err.pour(bytes) : kept.stderr.push(bytes)),
      onStart: () => signals.ready(),
      onGap: (output, bytes) => {
        lostBytes += bytes;
        cli.err.write(
          `nexusctl: ${plural(bytes, "byte")} of ${output} came and went while the line to the guest was down\n`,
        );
      },
    }),
  ).finally(() => {
    signals.close();
    if (options.stdin) process.stdin.destroy(); // nobody reads the rest of it
  });
  await forget(cli, params);
  if (kept !== null) cli.out.write(`${JSON.stringify(kept.result(ended), null, cli.out.isTty ? 2 : undefined)}\n`);
  else if (ended.timedOut) cli.err.write(`nexusctl: ended after ${(command.timeoutMs ?? 0) / 1000} s (--timeout)\n`);
  // output that is not whole is no success, whatever the command thinks of it
  return exitCodeOf(ended) || (lostBytes > 0 ? exitCodes.failure : exitCodes.ok);
}

/** The exit code of a program that ends as the process did. */
export function exitCodeOf({ timedOut, exitCode, signal }: Process): number {
  if (timedOut) return exitCodes.timeout;
  return exitCode ?? 128 + signalNumber(signal);
}

/** Starts a command that goes on by itself; its id is printed. */
export async function startInGuest(cli: Cli, vm: string, command: ProcessToRun, json: boolean): Promise<void> {
  const body = { ...command, id: newProcessId() };
  const started = await doing(`run ${command.argv[0] ?? ""} in VM "${vm}"`, () =>
    cli.client.call("process.start", { params: { vm }, body }),
  );
  cli.out.write(json ? `${JSON.stringify(started, null, cli.out.isTty ? 2 : undefined)}\n` : `${started.id}\n`);
  cli.hint(`nexusctl vm process attach ${vm} ${started.id}`);
}

/** The guest keeps what has ended for a while; nobody will ask for this one. */
async function forget(cli: Cli, params: { vm: string; process: string }): Promise<void> {
  await cli.client.call("process.delete", { params }, { signal: AbortSignal.timeout(forgetMs) }).catch(() => {});
}
