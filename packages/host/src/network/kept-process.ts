import { promises as fs } from "node:fs";
import type { Confinement } from "../confinement/confinement.ts";
import { removeRun } from "../confinement/held.ts";
import { runPaths } from "../paths.ts";
import { Keeper, KeeperError, startKeeper, type KeeperStart } from "../process/keeper.ts";

/** all that such a process gets of the daemon's environment */
const inherited = Object.fromEntries(
  ["PATH", "LD_LIBRARY_PATH"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  }),
);
const ringBytes = 64 * 1024;
/** for a process to go after SIGKILL, ms */
const killBoundMs = 10_000;
/** for a process to say that it is ready, ms; Node on a busy host takes seconds */
const startBoundMs = 60_000;

export interface KeptNeeds {
  keeperProgram: string;
  confinement: Confinement;
  /** of the workplace, in the names of services and control groups */
  tag: string;
}

export interface Running {
  pid: number;
  /** field 22 of `/proc/<pid>/stat`, clock ticks since boot */
  startTime: number;
}

/** A process of the workplace's network, which outlives the daemon as VMs do: behind a keeper, in a directory of its own. */
export class KeptProcess {
  readonly directory: string;
  readonly title: string;
  readonly #needs: KeptNeeds;
  readonly #name: string;
  readonly #memoryMiB: number;

  /** `title` is for messages; `memoryMiB` the most it may use */
  constructor(
    needs: KeptNeeds,
    about: { directory: string; name: "holder" | "uplink" | "gateway"; title: string; memoryMiB: number },
  ) {
    this.#needs = needs;
    this.directory = about.directory;
    this.title = about.title;
    this.#name = `network-${needs.tag}-${about.name}`;
    this.#memoryMiB = about.memoryMiB;
  }

  get #keeper(): Keeper {
    return new Keeper(runPaths(this.directory).keeper);
  }

  /** The process where it runs; null where it does not, and then nothing of it is left. */
  async find(): Promise<Running | null> {
    try {
      const status = await this.#keeper.status();
      if (status.state === "running") return { pid: status.vmmPid, startTime: status.vmmStartTime };
      await this.#keeper.release();
    } catch (error) {
      if (!(error instanceof KeeperError) || error.code !== "unreachable") throw error;
    }
    await removeRun(this.directory);
    return null;
  }

  /** Starts it where it does not run; what it has said so far is read for `said`, which it says when it is ready. */
  async start(
    argv: readonly [string, ...string[]],
    options: { said?: string; namespaces?: NonNullable<KeeperStart["namespaces"]> } = {},
  ): Promise<Running> {
    const living = await this.find();
    if (living !== null) return living;
    const { keeperProgram, confinement } = this.#needs;
    try {
      await fs.mkdir(this.directory, { recursive: true, mode: 0o700 });
      const { launcher, cgroups } = await confinement.hold({
        directory: this.directory,
        name: this.#name,
        description: `WorkFort network: ${this.title}`,
        limits: { memoryMiB: this.#memoryMiB, vcpuCount: 1 },
        jail: null,
        env: inherited,
      });
      const { vmmPid: pid, vmmStartTime: startTime } = await startKeeper({
        program: keeperProgram,
        socketPath: runPaths(this.directory).keeper,
        consoleBytes: ringBytes,
        launcher,
        cgroups,
        ...(launcher.length > 0 ? {} : { env: inherited }),
        ...(options.namespaces === undefined ? {} : { namespaces: options.namespaces }),
        argv,
      });
      if (options.said !== undefined) await this.#awaitWord(options.said);
      return { pid, startTime };
    } catch (error) {
      await this.end().catch(() => {});
      throw error;
    }
  }

  /** Resolves with why it ended, when it has; rejects with the signal's reason. */
  async waitForEnd(signal: AbortSignal): Promise<string> {
    try {
      const { exitCode, signal: by } = await this.#keeper.waitForEnd(signal);
      return `${by ?? `exit code ${exitCode}`}${await this.lastWords()}`;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      return `its keeper has gone: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** `: ` and the end of what it has said on its stderr; empty where that is nothing. */
  async lastWords(): Promise<string> {
    const text = await this.#keeper.errorOutput().catch(() => "");
    const lines = text
      .split("\n")
      .filter((line) => line.trim() !== "" && !/^Failed to send \d+ bytes to syslog/.test(line));
    return lines.length === 0 ? "" : `: ${lines.slice(-3).join(" ").slice(-500)}`;
  }

  /** Ends it and removes everything of it; one that does not run is fine. */
  async end(): Promise<boolean> {
    const running = await this.find();
    if (running !== null) {
      await this.#keeper.signal("SIGKILL").catch(() => {});
      await this.#keeper.waitForEnd(AbortSignal.timeout(killBoundMs)).catch(() => {});
      await this.#keeper.release().catch(() => {});
    }
    await removeRun(this.directory);
    return running !== null;
  }

  async #awaitWord(word: string): Promise<void> {
    let text = "";
    for await (const bytes of this.#keeper.followConsole(0, AbortSignal.timeout(startBoundMs))) {
      text += bytes.toString("utf8");
      if (text.split("\n").includes(word)) return;
    }
    throw new Error(`${this.title} ended at once${await this.lastWords()}`);
  }
}
