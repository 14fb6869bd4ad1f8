import { promises as fs } from "node:fs";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { RunFacts, VmmEnd, VmmRun } from "@workfort/core";
import { runPaths } from "../../paths.ts";
import { KeeperError, type Keeper } from "../../process/keeper.ts";
import { openChannel } from "./hello.ts";

/** between two questions to a keeper that broke off, ms */
const askAgainMs = 200;

/** One QEMU behind its keeper. */
export class QemuRun implements VmmRun {
  readonly facts: RunFacts;
  readonly #keeper: Keeper;

  constructor(facts: RunFacts, keeper: Keeper) {
    this.facts = facts;
    this.#keeper = keeper;
  }

  async waitForEnd(signal?: AbortSignal): Promise<VmmEnd> {
    const end = await this.#awaitEnd(signal);
    const errorOutput = await this.#keeper.errorOutput().catch(() => "");
    return { exitCode: end.exitCode, signal: end.signal, endedAt: end.endedAt, errorOutput };
  }

  /** Only a keeper that cannot be reached has gone; one that is busy is asked again. */
  async #awaitEnd(signal: AbortSignal | undefined): ReturnType<Keeper["waitForEnd"]> {
    for (;;) {
      try {
        return await this.#keeper.waitForEnd(signal);
      } catch (error) {
        if (!(error instanceof KeeperError) || error.code !== "protocol") throw error;
        await delay(askAgainMs, undefined, signal === undefined ? {} : { signal });
      }
    }
  }

  async openChannel(signal: AbortSignal): Promise<Duplex> {
    return await openChannel(runPaths(this.facts.directory).agent, signal);
  }

  async signal(name: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.#keeper.signal(name);
  }

  async console(tailBytes: number | null): Promise<Buffer> {
    const { bytes } = await this.#keeper.console(0);
    return tailBytes === null ? bytes : bytes.subarray(-tailBytes);
  }

  async *followConsole(tailBytes: number | null, signal: AbortSignal): AsyncGenerator<Buffer> {
    const from = tailBytes === null ? 0 : Math.max(0, (await this.#keeper.status()).consoleEnd - tailBytes);
    yield* this.#keeper.followConsole(from, signal);
  }

  async release(): Promise<void> {
    await this.#keeper.release();
    await fs.rm(this.facts.directory, { recursive: true, force: true });
  }
}
