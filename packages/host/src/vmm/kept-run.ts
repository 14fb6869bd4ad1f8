import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { DiskMetrics } from "@workfort/contract";
import type { RunFacts, VmmEnd, VmmMetrics, VmmRun } from "@workfort/core";
import { removeRun, runRanOutOfMemory } from "../confinement/held.ts";
import { KeeperError, type Keeper } from "../process/keeper.ts";
import { readUsage } from "../process/usage.ts";
import { plainWords } from "./plain-words.ts";

/** between two questions to a keeper that broke off, ms */
const askAgainMs = 200;

/** how one kind of VMM speaks */
export interface Manner {
  /** for messages: `QEMU`, `Firecracker` */
  title: string;
  /** what an exit code means; null where it says nothing of its own */
  explainExit(exitCode: number): string | null;
  /** the last line of its error output that says something; may be empty */
  lastWords(errorOutput: string): string;
  /** what its own boot timer says there, ms */
  guestBootMs(errorOutput: string): number | null;
}

/** what one kind of VMM does in its own way once it runs */
export interface Door {
  openChannel(signal: AbortSignal): Promise<Duplex>;
  pressCtrlAltDel(signal: AbortSignal): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  isPaused(): Promise<boolean>;
  /** What its disks have done since it was started, in their order. */
  disks(signal: AbortSignal): Promise<DiskMetrics[]>;
}

/** One VMM behind its keeper. */
export class KeptRun implements VmmRun {
  readonly facts: RunFacts;
  readonly #keeper: Keeper;
  readonly #manner: Manner;
  readonly #door: Door;

  constructor(facts: RunFacts, keeper: Keeper, manner: Manner, door: Door) {
    this.facts = facts;
    this.#keeper = keeper;
    this.#manner = manner;
    this.#door = door;
  }

  async waitForEnd(signal?: AbortSignal): Promise<VmmEnd> {
    const end = await this.#awaitEnd(signal);
    const errorOutput = await this.#keeper.errorOutput().catch(() => "");
    return {
      exitCode: end.exitCode,
      signal: end.signal,
      endedAt: end.endedAt,
      lastWords: plainWords(this.#manner.lastWords(errorOutput)),
      meaning: end.exitCode === null ? await this.#explainSignal(end.signal) : this.#manner.explainExit(end.exitCode),
    };
  }

  async #explainSignal(signal: string | null): Promise<string | null> {
    if (signal !== "SIGKILL") return null;
    const starved = await runRanOutOfMemory(this.facts.directory).catch(() => false);
    return starved ? "it wanted more memory than its control group may have" : null;
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
    return await this.#door.openChannel(signal);
  }

  async pause(): Promise<void> {
    await this.#door.pause();
  }

  async resume(): Promise<void> {
    await this.#door.resume();
  }

  async isPaused(): Promise<boolean> {
    return await this.#door.isPaused();
  }

  async metrics(signal: AbortSignal): Promise<VmmMetrics> {
    const { vmmPid, vmmStartTime } = this.facts;
    const [usage, disks] = await Promise.all([
      readUsage(vmmPid, vmmStartTime),
      this.#door.disks(signal).catch(() => null),
    ]);
    return { ...usage, disks };
  }

  async guestBootMs(): Promise<number | null> {
    return this.#manner.guestBootMs(await this.#keeper.errorOutput());
  }

  async pressCtrlAltDel(signal: AbortSignal): Promise<void> {
    await this.#door.pressCtrlAltDel(signal);
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
    await removeRun(this.facts.directory);
  }
}
