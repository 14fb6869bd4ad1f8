import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { disksIn } from "@workfort/host/vmm/qemu/block-statistics.ts";
import { checkBootable, checkBootSource } from "./boot-source.ts";
import type { Balloon, BootSource, MachineConfig, MachineConfigUpdate, Serial, Vsock } from "./bodies.ts";
import { Drives } from "./drives.ts";
import type { Faults } from "./faults.ts";
import type { GuestLine } from "./guest-line.ts";
import { Guest } from "./guest.ts";
import { Interfaces } from "./interfaces.ts";
import { checkInterrupts } from "./interrupts.ts";
import { changedMachineConfig, usualMachineConfig } from "./machine-config.ts";
import { Mmds } from "./mmds.ts";
import { Refusal, systemWords } from "./refusal.ts";
import { SerialBridge } from "./serial-bridge.ts";
import { VsockDevice } from "./vsock-device.ts";
import { VsockSocket } from "./vsock.ts";

/**
 * One VM: what it has been told, and its guest once it has been started.
 *
 *   Not started ──InstanceStart──▶ Running ◀──PATCH /vm──▶ Paused
 *
 * It ends with the process. A start that fails changes nothing.
 */
/** where the guest agent listens (codex/reference/guest-protocol.md) */
const agentPort = 7300;
/** of reaching an agent that is not up yet, ms */
const betweenTriesMs = 20;

type VsockFaults = Pick<Faults, "lostVsock" | "bridgedVsock">;

export type VmState = "Not started" | "Running" | "Paused";

export class Vm {
  readonly drives = new Drives();
  readonly interfaces = new Interfaces();
  readonly mmds: Mmds;
  readonly #id: string;
  readonly #vsockFaults: VsockFaults;
  state: VmState = "Not started";
  machine: MachineConfig = usualMachineConfig;
  boot: BootSource | null = null;
  vsock: Omit<Vsock, "vsock_id"> | null = null;
  balloon: Balloon | null = null;
  entropy: { rate_limiter: unknown } | null = null;
  serial: Serial | null = null;
  /** a request that belongs to a boot has been tried, so that no snapshot can be loaded */
  hasBootRequests = false;
  /** the agent has answered */
  isGuestUp = false;
  #guest: Guest | null = null;
  #socket: VsockSocket | null = null;
  #line: GuestLine | null = null;
  /** of a paused guest, whether it could be reached before */
  #wasReady = false;

  constructor(options: { id: string; mmdsBytes: number; vsock: VsockFaults }) {
    this.#id = options.id;
    this.mmds = new Mmds(options.mmdsBytes);
    this.#vsockFaults = options.vsock;
  }

  get #devices(): number {
    const single = [this.vsock, this.entropy, this.balloon].filter((device) => device !== null);
    return this.drives.all.length + this.interfaces.all.length + single.length;
  }

  get hasBooted(): boolean {
    return this.state !== "Not started";
  }

  /** Throws unless it has been started. */
  get guest(): Guest {
    if (this.#guest === null) throw new Error("the VM has not been started");
    return this.#guest;
  }

  changeMachine(change: MachineConfigUpdate, from = this.machine): void {
    this.machine = changedMachineConfig(from, change, this.balloon);
  }

  setBoot(source: BootSource): void {
    checkBootSource(source);
    this.boot = source;
  }

  /** The old socket goes first, whatever becomes of the new one. */
  async setVsock({ guest_cid, uds_path }: Vsock): Promise<void> {
    await this.#socket?.close();
    this.#socket = null;
    this.vsock = null;
    this.#socket = await VsockSocket.bind(uds_path, this.#vsockFaults.lostVsock);
    this.vsock = { guest_cid, uds_path };
  }

  setBalloon(balloon: Balloon): void {
    if (balloon.amount_mib > this.machine.mem_size_mib)
      throw new Refusal("Balloon config error: Amount of pages requested is too large.");
    this.balloon = balloon;
  }

  /** What the guest is reached by; null where it has not been asked for, or has not been started. */
  get lineDescription(): string | null {
    return this.#line?.description ?? null;
  }

  /** Boots the guest; `onUp` is called when its agent has answered. */
  async start(onUp: () => void): Promise<void> {
    if (this.boot === null)
      throw new Refusal("Start microvm error: Cannot start microvm without kernel configuration.");
    checkBootable(this.boot);
    checkInterrupts(this.#devices);
    const console = this.#openSerial();
    let line: GuestLine | null = null;
    try {
      line = await this.#startLine();
      this.#guest = await Guest.start(
        {
          id: this.#id,
          machine: this.machine,
          boot: this.boot,
          drives: this.drives.all,
          balloon: this.balloon,
          hasEntropy: this.entropy !== null,
          taps: this.interfaces.taps,
        },
        line,
        console,
      );
    } catch (error) {
      line?.stop();
      throw new Refusal(`Start microvm error: QEMU: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      if (console !== null) closeSync(console);
    }
    this.#line = line;
    this.state = "Running";
    if (line !== null) void this.#awaitAgent(this.#guest, line, onUp);
  }

  /** What each disk has done since the boot, under the names of Firecracker's counters; nothing where the guest has gone. */
  async diskCounts(): Promise<Record<string, Record<string, number>>> {
    const answer = await this.guest.monitor.command("query-blockstats").catch(() => []);
    const disks = disksIn(answer);
    return Object.fromEntries(
      this.drives.all.map(({ drive_id: id }, index) => {
        const { readBytes = 0, writtenBytes = 0, reads = 0, writes = 0, flushes = 0 } = disks[index] ?? {};
        const counts = { read_bytes: readBytes, write_bytes: writtenBytes, read_count: reads, write_count: writes };
        return [id, { ...counts, flush_count: flushes }];
      }),
    );
  }

  /** A guest that has powered off can be paused all the same. */
  async setPaused(paused: boolean): Promise<void> {
    if (paused) {
      this.#socket?.freeze();
      this.#wasReady = await this.#isLineReady();
      await this.guest.monitor.command("stop").catch(() => {});
    } else {
      await this.guest.monitor.command("cont").catch(() => {});
      // QEMU puts the guest's devices into service anew
      while (this.#wasReady && !this.guest.hasEnded && !(await this.#isLineReady())) await delay(betweenTriesMs);
      this.#socket?.thaw();
    }
    this.state = paused ? "Paused" : "Running";
  }

  /** Nobody may listen, which is no fault. */
  async sendCtrlAltDel(): Promise<void> {
    const keys = ["ctrl", "alt", "delete"].map((data) => ({ type: "qcode", data }));
    await this.guest.monitor.command("send-key", { keys }).catch(() => {});
  }

  async #startLine(): Promise<GuestLine | null> {
    if (this.vsock === null) return null;
    return this.#vsockFaults.bridgedVsock
      ? new SerialBridge()
      : await VsockDevice.start(this.vsock.uds_path, this.vsock.guest_cid);
  }

  async #awaitAgent(guest: Guest, line: GuestLine, onUp: () => void): Promise<void> {
    let hasEnded = false;
    const ended = guest.ended().then(() => {
      hasEnded = true;
      line.stop();
    });
    while (!(await this.#canBeReached(line))) {
      await Promise.race([ended, delay(betweenTriesMs)]);
      if (hasEnded) return;
    }
    this.isGuestUp = true;
    onUp();
    this.#socket?.serve(line);
  }

  async #isLineReady(): Promise<boolean> {
    return (await this.#line?.isReady(this.guest.monitor).catch(() => false)) ?? false;
  }

  async #canBeReached(line: GuestLine): Promise<boolean> {
    if (!(await this.#isLineReady())) return false;
    const stream = await line.open(agentPort);
    stream?.destroy();
    return stream !== null;
  }

  #openSerial(): number | null {
    const path = this.serial?.serial_out_path ?? null;
    if (path === null) return null;
    try {
      return openSync(path, "a");
    } catch (error) {
      throw new Refusal(
        `Start microvm error: Failed to create device manager: Error with EventFd: ${systemWords(error)}`,
      );
    }
  }
}
