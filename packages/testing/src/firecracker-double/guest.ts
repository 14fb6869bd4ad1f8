import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { qemuArguments } from "@workfort/host/vmm/qemu/arguments.ts";
import { awaitGreeting, runQmp } from "@workfort/host/vmm/qemu/qmp.ts";
import { nativePrograms } from "../environment.ts";
import type { Machine } from "./machine.ts";

/** The guest that the double boots: QEMU with software emulation, which dies with the double. */
export class Guest {
  readonly #directory: string;
  #child: ChildProcess | null = null;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** `beside`: a file in the directory of the run, which its owner removes whatever becomes of us */
  static prepare(beside: string): Guest {
    const directory = join(dirname(beside), "double");
    mkdirSync(directory, { recursive: true });
    return new Guest(directory);
  }

  /** Null before the boot. */
  get agentSocket(): string | null {
    return this.#child === null ? null : join(this.#directory, "agent");
  }

  /** Resolves when the processors run; `onEnd` is called when the guest has reset its machine. */
  async boot(machine: Machine, onEnd: () => void): Promise<void> {
    const { boot, config, drives } = machine;
    if (boot === null) throw new Error("there is nothing to boot");
    const measured = await runTool([join(nativePrograms, "keeper"), "--counter-khz"], { okCodes: [0, 1, 2] });
    const argv = qemuArguments(
      {
        id: "vm_ofthedouble2",
        name: "double",
        cid: 3,
        vcpuCount: config.vcpu_count,
        memoryMiB: config.mem_size_mib,
        kernel: { version: "", vmlinux: boot.kernel_image_path, initramfs: boot.initrd_path ?? "" },
        drives: [...drives.values()].map((drive) => ({
          id: drive.drive_id,
          path: drive.path_on_host,
          readOnly: drive.is_read_only ?? false,
          rateLimit: null,
        })),
        mounts: [],
        directory: this.#directory,
      },
      "tcg",
      /^\d+$/.test(measured.stdout.trim()) ? Number(measured.stdout) : null,
    );
    const append = argv.indexOf("-append") + 1;
    argv[append] = bootArguments(boot.boot_args ?? "", argv[append] ?? "");
    // whatever kills the double kills its guest, as there is no other process with the real one
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...argv], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#child = child;
    child.once("exit", onEnd);
    await awaitGreeting(this.#qmp, 15_000, new AbortController().signal);
  }

  async pause(): Promise<void> {
    await runQmp(this.#qmp, "stop");
  }

  async resume(): Promise<void> {
    await runQmp(this.#qmp, "cont");
  }

  get #qmp(): string {
    return join(this.#directory, "qmp");
  }
}

/** What the driver asked for, with what only software emulation needs; a reset goes another way on this machine. */
function bootArguments(asked: string, emulated: string): string {
  const timers = emulated.split(" ").filter((word) => /^(tsc|lpj|tsc_early_khz)=|^no_timer_check$/.test(word));
  return [asked.replace("reboot=k", "reboot=t"), ...timers].join(" ");
}
