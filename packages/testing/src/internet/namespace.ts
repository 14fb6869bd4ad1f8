import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runTool, type RunOptions } from "@workfort/host/process/run.ts";
import type { WorldAnswer, WorldCall, WorldMethods, WorldSettings } from "./world/calls.ts";

const program = fileURLToPath(new URL("world/main.ts", import.meta.url));

/** Methods of a world, asked for from outside. */
type Asked = {
  [Name in keyof WorldMethods]: (
    ...words: Parameters<WorldMethods[Name]>
  ) => Promise<Awaited<ReturnType<WorldMethods[Name]>>>;
};

/**
 * A network namespace that lives as long as the servers in it: one process, which ends by itself when whoever made it
 * is gone. So nothing of it lies in `/run/netns`, and a test that is killed leaves nothing.
 */
export class Namespace {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (answer: WorldAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.error === undefined) waiting?.resolve(answer.result);
      else waiting?.reject(new Error(answer.error));
    });
    child.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the servers of the namespace have ended"));
    });
  }

  static async make(): Promise<Namespace> {
    // fork of another program than Node: `unshare` becomes Node, with the channel it inherits
    const child = fork(program, {
      execPath: "unshare",
      execArgv: ["--net", "--", process.execPath],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const namespace = new Namespace(child);
    await namespace.ask.ready();
    await namespace.run(["ip", "link", "set", "lo", "up"]);
    return namespace;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the namespace has not been made");
    return this.#child.pid;
  }

  /** file that stands for it */
  get path(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** words before a command that is to run in it */
  get enter(): readonly [string, ...string[]] {
    return ["nsenter", `--net=${this.path}`, "--"];
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return (await runTool([...this.enter, ...argv], options)).stdout;
  }

  /** Runs these lines of `ip`, all or none of what follows the first that fails. */
  async ip(lines: readonly string[]): Promise<void> {
    await this.run(["ip", "-batch", "-"], { input: lines.join("\n") });
  }

  async nft(rules: string): Promise<void> {
    await this.run(["nft", "-f", "-"], { input: rules });
  }

  async startServers(settings: WorldSettings): Promise<void> {
    await this.ask.start(settings);
  }

  /** the servers' methods */
  readonly ask = new Proxy({} as Asked, {
    get:
      (_, method: keyof WorldMethods) =>
      (...words: unknown[]) =>
        this.#call(method, words),
  });

  /** Ends the servers, and with them the namespace where nothing else is in it. */
  async remove(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #call(method: keyof WorldMethods, words: unknown[]): Promise<unknown> {
    this.#calls += 1;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#calls, waiting);
    this.#child.send({ id: this.#calls, method, words } satisfies WorldCall);
    return waiting.promise;
  }
}
