import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { runTool } from "@workfort/host/process/run.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { nativePrograms } from "../environment.ts";
import { guestArguments, type GuestPlan } from "./guest-arguments.ts";
import { QmpLink } from "./qmp-link.ts";

/**
 * The guest, in a QEMU that dies with the double: the kernel kills it when its parent goes, and should the parent have
 * gone before that was arranged, it does not start. It needs no files: its monitor is an inherited socket, the agent's
 * channel an abstract one.
 */
const program = "qemu-system-x86_64";
/** starts QEMU unless the double, whose pid is the first word, is no longer the parent */
const startUnlessOrphaned = '[ "$PPID" = "$0" ] && exec "$@"';

export class Guest {
  readonly #child: ChildProcess;
  readonly #channel: string;
  readonly monitor: QmpLink;
  #errorOutput = "";

  private constructor(child: ChildProcess, channel: string) {
    this.#child = child;
    this.#channel = channel;
    this.monitor = new QmpLink(child.stdio[3] as Duplex);
    child.stderr?.on(
      "data",
      (chunk: Buffer) => (this.#errorOutput = (this.#errorOutput + chunk.toString()).slice(-4000)),
    );
  }

  /** Resolves when it runs; rejects with QEMU's words. `serial` is a file for its console, the standard output if null. */
  static async start(plan: GuestPlan, serial: number | null): Promise<Guest> {
    const channel = `workfort-double-${process.pid}-${randomBytes(6).toString("hex")}`;
    const argv = [program, ...guestArguments(plan, channel, await counterKhz())];
    const child = spawn(
      "setpriv",
      ["--pdeathsig", "KILL", "sh", "-c", startUnlessOrphaned, String(process.pid), ...argv],
      {
        stdio: [
          serial === null ? "inherit" : "ignore",
          serial ?? "inherit",
          "pipe",
          "pipe",
          ...plan.taps.map(({ tap }) => tap),
        ],
      },
    );
    const guest = new Guest(child, channel);
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

  /** Resolves when QEMU has gone, with why: `guest-reset`, `guest-shutdown`, or null where it did not end by itself. */
  async ended(): Promise<string | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((gone) => this.#child.once("close", gone));
    return this.monitor.shutdownReason;
  }

  /** Resolves with a stream when the agent has answered. */
  async openAgent(signal: AbortSignal): Promise<Socket> {
    const dial = async (): Promise<Socket> => {
      const socket = connect(`\0${this.#channel}`);
      await once(socket, "connect");
      return socket;
    };
    return await openChannel(dial, signal);
  }
}

/** frequency of the host's counter, which an emulated kernel has to be told */
async function counterKhz(): Promise<number | null> {
  const { stdout } = await runTool([join(nativePrograms, "keeper"), "--counter-khz"], { timeoutMs: 10_000 });
  return /^\d+$/.test(stdout.trim()) ? Number(stdout) : null;
}
