import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export const launcher = fileURLToPath(new URL("../../../../bin/nexusctl", import.meta.url));

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunningCli {
  child: ChildProcessWithoutNullStreams;
  ended: Promise<Ended>;
}

/** Starts `bin/nexusctl` as a user would, with its stdin open. */
export function startCli(env: Record<string, string>, ...words: readonly string[]): RunningCli {
  const child = spawn(launcher, words, { env, cwd: "/" });
  const { promise, resolve } = Promise.withResolvers<Pick<Ended, "code" | "signal">>();
  child.once("close", (code, signal) => resolve({ code, signal }));
  const ended = Promise.all([promise, text(child.stdout), text(child.stderr)]).then(([end, stdout, stderr]) => ({
    ...end,
    stdout,
    stderr,
  }));
  return { child, ended };
}

/** Runs `bin/nexusctl` to its end; stdin is `input`. */
export async function nexusctl(
  env: Record<string, string>,
  words: readonly string[],
  input: string | Buffer = "",
): Promise<Ended> {
  const { child, ended } = startCli(env, ...words);
  child.stdin.on("error", () => {}); // it may not read all of it
  child.stdin.end(input);
  return await ended;
}
