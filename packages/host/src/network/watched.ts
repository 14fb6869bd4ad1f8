import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@workfort/core";
import type { KeptProcess } from "./kept-process.ts";

/** between an end and the next start, ms; the last for all that follow */
const backOffMs = [0, 100, 500, 2_000, 10_000, 30_000];
/** one that has run for so long has not failed at once, ms */
const soundMs = 30_000;

/**
 * A kept process that is needed: found or started, and started again when it ends.
 *
 *   begin ──▶ ready ──end──▶ away ──back-off, start──▶ ready …
 */
export class Watched {
  readonly #process: KeptProcess;
  readonly #bringUp: () => Promise<void>;
  readonly #log: Logger;
  readonly #over = new AbortController();
  #ready = Promise.withResolvers<void>();
  isReady = false;

  /** `bringUp` finds it or starts it, and has it do its work; it may be called again. */
  constructor(process: KeptProcess, bringUp: () => Promise<void>, log: Logger) {
    this.#process = process;
    this.#bringUp = bringUp;
    this.#log = log;
    this.#ready.promise.catch(() => {});
  }

  /** Rejects where it cannot be brought up the first time. */
  async begin(): Promise<void> {
    await this.#bringUp();
    this.#become(true);
    void this.#watch();
  }

  /** Resolves when it does its work, which may be at once; rejects with the signal's reason. */
  async ready(signal: AbortSignal): Promise<void> {
    const given = Promise.withResolvers<never>();
    const abort = (): void => given.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([this.#ready.promise, given.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Ends the watch and leaves the process alone. */
  letGo(): void {
    this.#over.abort(new Error("the network is no longer watched"));
    this.#ready.reject(this.#over.signal.reason);
    this.isReady = false;
  }

  #become(ready: boolean): void {
    if (this.isReady === ready) return;
    this.isReady = ready;
    if (ready) this.#ready.resolve();
    else {
      this.#ready = Promise.withResolvers();
      this.#ready.promise.catch(() => {});
    }
  }

  async #watch(): Promise<void> {
    const { signal } = this.#over;
    let failures = 0;
    try {
      for (;;) {
        const begun = performance.now();
        const why = await this.#process.waitForEnd(signal);
        this.#become(false);
        this.#log.warn({ process: this.#process.title, why }, `${this.#process.title} has ended and is started again`);
        if (performance.now() - begun > soundMs) failures = 0;
        for (;;) {
          await delay(backOffMs[Math.min(failures, backOffMs.length - 1)], undefined, { signal });
          failures += 1;
          try {
            await this.#bringUp();
            break;
          } catch (error) {
            signal.throwIfAborted();
            this.#log.error({ err: error }, `${this.#process.title} could not be started again`);
          }
        }
        signal.throwIfAborted();
        this.#become(true);
      }
    } catch (error) {
      if (!signal.aborted) this.#log.error({ err: error }, `${this.#process.title} is no longer watched`);
    }
  }
}
