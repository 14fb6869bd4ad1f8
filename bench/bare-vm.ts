import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { runPaths } from "@workfort/host/paths.ts";
import { runTool } from "@workfort/host/process/run.ts";
import { qemuArguments } from "@workfort/host/vmm/qemu/arguments.ts";
import type { VmSpec } from "@workfort/core";
import { nativePrograms } from "@workfort/testing";
import { makeBareSpec, removeBareSpec } from "./bare-spec.ts";

/** A VM by hand: QEMU with the very arguments the daemon gives it, and nobody in between. */
export class BareVm {
  readonly #spec: VmSpec;
  readonly #argv: readonly string[];
  #child: ChildProcess | null = null;
  #console = "";

  private constructor(spec: VmSpec, counterKhz: number) {
    this.#spec = spec;
    this.#argv = qemuArguments(spec, "tcg", counterKhz);
  }

  get agentSocket(): string {
    return runPaths(this.#spec.directory).agent;
  }

  /** Everything but the start. */
  static async prepare(memoryMiB: number): Promise<BareVm> {
    const { stdout } = await runTool([join(nativePrograms, "keeper"), "--counter-khz"]);
    return new BareVm(await makeBareSpec(memoryMiB), Number(stdout));
  }

  /** Starts it; resolves when the agent has written its first line. */
  async start(): Promise<void> {
    const child = spawn("qemu-system-x86_64", this.#argv, { stdio: ["ignore", "pipe", "ignore"] });
    this.#child = child;
    child.stdout.on("data", (chunk: Buffer) => (this.#console += chunk.toString("latin1")));
    while (!this.#console.includes("guest-agent")) await once(child.stdout, "data");
  }

  async end(): Promise<void> {
    if (this.#child !== null) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await ended;
    }
    await removeBareSpec(this.#spec);
  }
}
