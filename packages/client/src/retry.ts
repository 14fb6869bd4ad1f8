import { setTimeout as delay } from "node:timers/promises";
import { OutputStreamError } from "@workfort/contract/output-frames";
import { WorkfortError } from "@workfort/contract/errors";
import { DaemonUnreachable } from "./errors.ts";

/** waits between tries in `ms`; together about half a minute, which a restart of the daemon does not take */
export const retryDelaysMs: readonly number[] = [50, 100, 200, 400, 800, ...Array.from({ length: 14 }, () => 2000)];

/** Whether an error says that the line broke, and not that the daemon or the guest refused. */
function isBreak(error: unknown): boolean {
  if (error instanceof DaemonUnreachable || error instanceof OutputStreamError) return true;
  return error instanceof WorkfortError && (error.code === "stopping" || error.code === "agent_unreachable");
}

/** Counts tries and waits longer before each. */
export class Backoff {
  readonly #delaysMs: readonly number[];
  #tries = 0;

  constructor(delaysMs: readonly number[]) {
    this.#delaysMs = delaysMs;
  }

  /** After a success the next failure starts anew. */
  reset(): void {
    this.#tries = 0;
  }

  /** Waits before the next try, or throws the error where it is final or the tries are used up. */
  async afterFailure(error: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const delayMs = this.#delaysMs[this.#tries];
    if (delayMs === undefined || !isBreak(error)) throw error;
    this.#tries += 1;
    await delay(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
