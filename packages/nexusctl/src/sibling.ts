import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Failure } from "./failures.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

/** the checkout this program runs from, null where it is installed */
export const checkout: string | null = existsSync(`${root}/bin/nexusd`) ? root : null;

/** Runs nexusd with our terminal and gives its exit code; for what must work while no daemon runs. */
export async function runNexusd(words: readonly string[], silent: boolean): Promise<number> {
  const { spawn } = await import("node:child_process");
  const program = checkout === null ? "nexusd" : `${checkout}/bin/nexusd`;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(program, words, { stdio: ["inherit", silent ? "ignore" : "inherit", "inherit"] });
  child.once("error", (error) => reject(new Failure(`run ${program}`, error)));
  child.once("exit", (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
  // the terminal gives Ctrl-C to both; the child decides, this program only waits for it
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return await promise;
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : (process.getBuiltinModule("node:os").constants.signals[signal] ?? 0);
}
