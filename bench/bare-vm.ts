import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureInitramfs } from "@workfort/host/assets/initramfs.ts";
import { runPaths } from "@workfort/host/paths.ts";
import { runTool } from "@workfort/host/process/run.ts";
import { qemuArguments } from "@workfort/host/vmm/qemu/arguments.ts";
import { nativePrograms, testEnvironment } from "@workfort/testing";

/** A VM by hand: QEMU with the very arguments the daemon gives it, and nobody in between. */
export class BareVm {
  readonly directory: string;
  readonly #child: ChildProcess;
  #console = "";

  private constructor(directory: string, child: ChildProcess) {
    this.directory = directory;
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => (this.#console += chunk.toString("latin1")));
  }

  get agentSocket(): string {
    return runPaths(this.directory).agent;
  }

  static async start(memoryMiB: number): Promise<BareVm> {
    const { root, kernelDirectory, rootfsImage } = testEnvironment();
    const directory = await fs.mkdtemp(join(tmpdir(), "wfb"));
    await fs.mkdir(runPaths(directory).vmm);
    const disk = join(root, `bare-${process.pid}.ext4`);
    await runTool(["cp", "--reflink=always", rootfsImage, disk]);
    const { stdout } = await runTool([join(nativePrograms, "keeper"), "--counter-khz"]);
    const kernel = {
      version: "bare",
      vmlinux: join(kernelDirectory, "vmlinux"),
      initramfs: await ensureInitramfs(kernelDirectory, join(nativePrograms, "guest-agent")),
    };
    const spec = {
      id: "vm_bare",
      name: "bare",
      cid: 3,
      vcpuCount: 1,
      memoryMiB,
      kernel,
      drives: [{ id: "ws_bare", path: disk, readOnly: false, rateLimit: null }],
      mounts: [],
      directory,
    };
    const child = spawn("qemu-system-x86_64", qemuArguments(spec, "tcg", Number(stdout)), {
      stdio: ["ignore", "pipe", "ignore"],
    });
    return new BareVm(directory, child);
  }

  /** Resolves when the agent has written its first line. */
  async ready(): Promise<void> {
    while (!this.#console.includes("guest-agent")) await once(this.#child.stdout ?? this.#child, "data");
  }

  async end(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
    await fs.rm(this.directory, { recursive: true, force: true });
  }
}
