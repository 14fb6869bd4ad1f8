import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runTool } from "@workfort/host/process/run.ts";
import type { Tools } from "./inside.ts";

const program = fileURLToPath(new URL("inside.ts", import.meta.url));

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

/** A network namespace with a process of ours in it that runs what it is given. */
export class Namespace {
  readonly name: string;
  #child: ChildProcess | null = null;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(name: string) {
    this.name = name;
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  async make(): Promise<void> {
    await runTool(["ip", "netns", "add", this.name]);
    await this.ip("link set dev lo up");
  }

  /** Commands of `ip -batch`. */
  async ip(...commands: string[]): Promise<void> {
    await runTool(["ip", "-netns", this.name, "-batch", "-"], { input: `${commands.join("\n")}\n` });
  }

  async tool(...argv: [string, ...string[]]): Promise<string> {
    return (await runTool(["nsenter", `--net=${this.path}`, ...argv])).stdout;
  }

  /** Runs a function in the namespace. It sees nothing of its surroundings but what it is given. */
  async run<Argument, Result>(
    use: (tools: Tools, argument: Argument) => Result | Promise<Result>,
    argument: Argument,
  ): Promise<Result> {
    this.#child ??= this.#start();
    const id = (this.#last += 1);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    this.#child.stdin?.write(`${JSON.stringify({ id, code: use.toString(), argument })}\n`);
    return (await promise) as Result;
  }

  async remove(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
    await runTool(["ip", "netns", "del", this.name], { okCodes: [0, 1] });
  }

  #start(): ChildProcess {
    const child = spawn("nsenter", [`--net=${this.path}`, process.execPath, program], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the process in ${this.name} has ended`));
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: string };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    return child;
  }
}
