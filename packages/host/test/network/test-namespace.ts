import { spawn, type ChildProcess } from "node:child_process";
import { promises as fs } from "node:fs";
import type { TestContext } from "node:test";
import { eventually } from "@workfort/testing";
import { runTool, type RunOptions } from "../../src/process/run.ts";

/** A network namespace of the test's own, which goes with the test: a "host", an "internet", or a workplace. */
export class TestNamespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async make(t: TestContext): Promise<TestNamespace> {
    const holder = spawn("unshare", ["--net", "sleep", "infinity"], { stdio: "ignore" });
    t.after(async () => {
      holder.kill("SIGKILL");
      if (holder.exitCode === null && holder.signalCode === null)
        await new Promise((gone) => holder.once("exit", gone));
    });
    const own = await fs.readlink("/proc/self/ns/net");
    await eventually(
      () => fs.readlink(`/proc/${holder.pid}/ns/net`),
      (found) => found !== own,
    );
    const made = new TestNamespace(holder);
    await made.run(["ip", "link", "set", "lo", "up"]);
    return made;
  }

  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  get path(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  /** words before a program that is to run in it */
  get enter(): [string, ...string[]] {
    return ["nsenter", `--net=${this.path}`, "--"];
  }

  /** Runs a program in it; its standard output. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const { stdout } = await runTool([...this.enter, ...argv], { timeoutMs: 30_000, ...options });
    return stdout;
  }
}
