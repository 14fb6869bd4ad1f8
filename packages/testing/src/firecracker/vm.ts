import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { disksIn } from "@workfort/host/vmm/qemu/block-statistics.ts";
import { askForStatistics } from "./balloon.ts";
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
import { loadDevices, loadMemory, saveDevices, saveMemory } from "./guest-state.ts";
import { SerialBridge } from "./serial-bridge.ts";
import type { SavedVm } from "./snapshot-file.ts";
import { VsockDevice } from "./vsock-device.ts";
import { VsockSocket } from "./vsock.ts";

/** where the guest agent listens (codex/reference/guest-protocol.md) */
const agentPort = 7300;
/** of reaching an agent that is not up yet, ms */
const betweenTriesMs = 20;

type VmFaults = Pick<Faults, "lostVsock" | "bridgedVsock" | "lostSerial" | "clockLateBy" | "fullDisk">;

export type VmState = "Not started" | "Running" | "Paused";

/**
 * One VM: what it has been told, and its guest once it has been started.
 *
 *   Not started ──InstanceStart──▶ Running ◀──PATCH /vm──▶ Paused
 *         └────────────────snapshot/load────────────────────────▲
 *
 * It ends with the process. A start that fails changes nothing.
 */
export class Vm {
  readonly drives = new Drives();
  readonly interfaces = new Interfaces();
  readonly mmds: Mmds;
  readonly #id: string;
  readonly #directory: string;
  readonly #faults: VmFaults;
  readonly #onGuest: (guest: Guest) => void;
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
  /** of a paused guest, which QEMU saves but once */
  #savedDevices: Buffer | null = null;
  /** of a paused guest, whether it could be reached before */
  #wasReady = false;

  /** `directory` is for a socket while a snapshot is made or loaded; `onGuest` is told of the guest once there is one. */
  constructor(options: {
    id: string;
    mmdsBytes: number;
    directory: string;
    faults: VmFaults;
    onGuest: (guest: Guest) => void;
  }) {
    this.#id = options.id;
    this.mmds = new Mmds(options.mmdsBytes);
    this.#directory = options.directory;
    this.#faults = options.faults;
    this.#onGuest = options.onGuest;
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
    this.#socket = await VsockSocket.bind(uds_path, this.#faults.lostVsock);
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
    const guest = await this.#startGuest(this.boot, { waits: false }).catch((error: unknown) => {
      if (error instanceof Refusal) throw error;
      throw new Refusal(`Start microvm error: QEMU: ${error instanceof Error ? error.message : String(error)}`);
    });
    this.#begin(guest, "Running", onUp);
  }

  /** What a snapshot holds besides memory. Connections to the guest break, even where it is refused. */
  async save(): Promise<SavedVm> {
    const refuse = (why: string): Refusal =>
      new Refusal(`Create snapshot error: Cannot save the microVM state: Operation not allowed: ${why}`);
    this.#socket?.cut();
    if (this.state !== "Paused") throw refuse("save/restore unavailable while running");
    if (this.#line instanceof VsockDevice)
      throw refuse("Devices without snapshot support are present: vhost-user-vsock(id: vsock)");
    const { machine, boot, vsock, balloon, entropy } = this;
    const { all: drives } = this.drives;
    const { all: interfaces } = this.interfaces;
    const configuration = { machine, boot, drives, interfaces, vsock, balloon, entropy, mmds: this.mmds.config };
    this.#savedDevices ??= await saveDevices(this.guest.monitor, this.#directory);
    return { configuration, devices: this.#savedDevices };
  }

  /** Writes the memory of a paused guest; rejects with the system's error. */
  async saveMemory(path: string): Promise<void> {
    await saveMemory(this.guest.pid, path, this.#faults.fullDisk ? this.machine.mem_size_mib / 2 : Infinity);
  }

  /** Goes on where a guest was saved, paused; what it had has been opened. */
  async load(devices: Buffer, memoryPath: string): Promise<void> {
    if (this.boot === null) throw new Error("the saved VM had no kernel");
    const guest = await this.#startGuest(this.boot, { waits: true });
    this.#socket?.freeze();
    this.#begin(guest, "Paused", () => {});
    await loadMemory(guest.pid, memoryPath);
    await loadDevices(guest.monitor, this.#directory, devices);
  }

  /** Starts what the guest is reached by, and QEMU. */
  async #startGuest(boot: BootSource, { waits }: { waits: boolean }): Promise<Guest> {
    const console = this.#openSerial();
    let line: GuestLine | null = null;
    try {
      line = await this.#startLine();
      const plan = {
        id: this.#id,
        machine: this.machine,
        boot,
        drives: this.drives.all,
        balloon: this.balloon,
        hasEntropy: this.entropy !== null,
        taps: this.interfaces.taps,
        clockLateBy: this.#faults.clockLateBy,
      };
      const guest = await Guest.start(plan, line, { console, waits });
      if (this.balloon !== null) await askForStatistics(guest.monitor, this.balloon.stats_polling_interval_s);
      this.#line = line;
      return guest;
    } catch (error) {
      line?.stop();
      throw error;
    } finally {
      if (console !== null) closeSync(console);
    }
  }

  #begin(guest: Guest, state: VmState, onUp: () => void): void {
    this.#guest = guest;
    this.state = state;
    this.#onGuest(guest);
    if (this.#line !== null) void this.#awaitAgent(guest, this.#line, { isLoaded: state === "Paused", onUp });
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
      this.#savedDevices = null;
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
    return this.#faults.bridgedVsock
      ? new SerialBridge()
      : await VsockDevice.start(this.vsock.uds_path, this.vsock.guest_cid);
  }

  async #awaitAgent(
    guest: Guest,
    line: GuestLine,
    { isLoaded, onUp }: { isLoaded: boolean; onUp: () => void },
  ): Promise<void> {
    let hasEnded = false;
    const ended = guest.ended().then(() => {
      hasEnded = true;
      line.stop();
    });
    const comesTrue = async (is: () => Promise<boolean>): Promise<boolean> => {
      while (!hasEnded && !(await is())) await Promise.race([ended, delay(betweenTriesMs)]);
      return !hasEnded;
    };
    if (!(await comesTrue(() => this.#isLineReady()))) return;
    this.#socket?.serve(line, { isLoaded });
    if (!line.isReadyWithAgent && !(await comesTrue(() => listens(line, agentPort)))) return;
    this.isGuestUp = true;
    onUp();
  }

  async #isLineReady(): Promise<boolean> {
    return (await this.#line?.isReady(this.guest.monitor).catch(() => false)) ?? false;
  }

  /** A file for the guest's console; null for the standard output. */
  #openSerial(): number | null {
    const path = this.#faults.lostSerial ? "/dev/null" : (this.serial?.serial_out_path ?? null);
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

async function listens(line: GuestLine, port: number): Promise<boolean> {
  const stream = await line.open(port);
  stream?.destroy();
  return stream !== null;
}
