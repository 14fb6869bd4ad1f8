import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { runTool } from "@workfort/host/process/run.ts";
import { nativePrograms } from "../environment.ts";
import { diesWithUs } from "./child.ts";
import { guestArguments, type GuestPlan } from "./guest-arguments.ts";
import type { GuestLine } from "./guest-line.ts";
import { QmpLink } from "./qmp-link.ts";

/** The guest, in a QEMU that dies with the double. Its monitor is an inherited socket. */
const program = "qemu-system-x86_64";

export class Guest {
  readonly #child: ChildProcess;
  readonly monitor: QmpLink;
  #errorOutput = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.monitor = new QmpLink(child.stdio[3] as Duplex);
    child.stderr?.on(
      "data",
      (chunk: Buffer) => (this.#errorOutput = (this.#errorOutput + chunk.toString()).slice(-4000)),
    );
  }

  /**
   * Resolves when it runs, or waits to be loaded; rejects with QEMU's words. `console` is a file for its console, the
   * standard output if null.
   */
  static async start(
    plan: GuestPlan,
    line: GuestLine | null,
    { console, waits }: { console: number | null; waits: boolean },
  ): Promise<Guest> {
    const [first, ...rest] = diesWithUs([
      program,
      ...guestArguments(plan, line?.guestArguments ?? [], await counterKhz()),
      ...(waits ? ["-incoming", "defer", "-S"] : []),
    ]);
    const child = spawn(first, rest, {
      stdio: [
        console === null ? "inherit" : "ignore",
        console ?? "inherit",
        "pipe",
        "pipe",
        ...plan.taps.map(({ tap }) => tap),
      ],
    });
    const guest = new Guest(child);
    const failed = new Promise<never>((_, reject) => {
      child.once("error", reject);
      child.once("close", () => reject(new Error(guest.#errorOutput.trim())));
    });
    failed.catch(() => {});
    await Promise.race([guest.monitor.ready(), failed]).catch(async (error: unknown) => {
      throw (await failed.catch((why: unknown) => why)) ?? error;
    });
    return guest;
  }

  /** of QEMU, which its starters have become */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves when QEMU has gone, with why: `guest-reset`, `guest-shutdown`, or null where it did not end by itself. */
  async ended(): Promise<string | null> {
    if (!this.hasEnded) await new Promise((gone) => this.#child.once("close", gone));
    return this.monitor.shutdownReason;
  }
}

/** frequency of the host's counter, which an emulated kernel has to be told */
async function counterKhz(): Promise<number | null> {
  const { stdout } = await runTool([join(nativePrograms, "keeper"), "--counter-khz"], { timeoutMs: 10_000 });
  return /^\d+$/.test(stdout.trim()) ? Number(stdout) : null;
}
