import { liveStates, WorkfortError, type Progress, type StartVm, type Vm } from "@workfort/contract";
import { refuseMemory } from "./admission.ts";
import { awaitAgent } from "./await-agent.ts";
import { guestPhases } from "./boot-phases.ts";
import { decide, type VmRequest } from "./decide.ts";
import { EndLadder, killGraceMs } from "./end-ladder.ts";
import { explainAbsence, explainEnd } from "./ends.ts";
import type { EventSink } from "./events.ts";
import { failpoint } from "./failpoint.ts";
import { GuestProcesses } from "./guest-processes.ts";
import { LiveVm } from "./live-vm.ts";
import type { Interfaces } from "./network/interfaces.ts";
import type {
  AttachedNetwork,
  ConsoleArchive,
  GuestAgent,
  GuestConnector,
  GuestLink,
  Host,
  Kernels,
  LinkState,
  Logger,
  StorageDriver,
  Store,
  VmmChooser,
  VmmDriver,
  VmmEnd,
} from "./ports.ts";
import { ProcessEvents } from "./process-events.ts";
import type { VmRecord } from "./records.ts";
import { disksOf } from "./vm-disks.ts";
import { VmStates } from "./vm-states.ts";

/**
 * Everything that lives: starts, stops, kills and watches VMs, and finds them again after a restart of the daemon.
 *
 * A VM's state is the row in the store (vm-states.ts); `#live` holds, for every VM in a live state, the VMM's run and
 * the line to its agent. A VM's end is seen in one place, `#watch`, whoever caused it; stop and kill only note their
 * reason and bring the end about (end-ladder.ts).
 */
export interface StartOptions {
  onProgress: (progress: Progress) => void;
  /** for the history */
  reason: string;
}

export class Supervisor {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #storage: StorageDriver;
  readonly #vmms: VmmChooser;
  readonly #kernels: Kernels;
  readonly #guests: GuestConnector;
  readonly #interfaces: Interfaces;
  readonly #consoles: ConsoleArchive;
  readonly #host: Host;
  readonly #log: Logger;
  readonly #memoryLimitMiB: number;
  readonly #runDirectory: (vmId: string) => string;
  readonly #states: VmStates;
  readonly #ladder: EndLadder;
  readonly #live = new Map<string, LiveVm>();
  /** runs that have ended, while what they left is being cleared away */
  readonly #clearing = new Map<string, Promise<void>>();
  readonly #onEnd: (vm: VmRecord, end: { crashed: boolean; ranMs: number }) => void;
  #detached = false;

  constructor(needs: {
    store: Store;
    events: EventSink;
    storage: StorageDriver;
    vmms: VmmChooser;
    kernels: Kernels;
    guests: GuestConnector;
    interfaces: Interfaces;
    consoles: ConsoleArchive;
    host: Host;
    log: Logger;
    memoryLimitMiB: number;
    runDirectory: (vmId: string) => string;
    /** told of every end of a run that nobody has asked for, once it is recorded */
    onEnd: (vm: VmRecord, end: { crashed: boolean; ranMs: number }) => void;
  }) {
    this.#onEnd = needs.onEnd;
    this.#store = needs.store;
    this.#events = needs.events;
    this.#storage = needs.storage;
    this.#vmms = needs.vmms;
    this.#kernels = needs.kernels;
    this.#guests = needs.guests;
    this.#interfaces = needs.interfaces;
    this.#consoles = needs.consoles;
    this.#host = needs.host;
    this.#log = needs.log;
    this.#memoryLimitMiB = needs.memoryLimitMiB;
    this.#runDirectory = needs.runDirectory;
    this.#states = new VmStates(needs);
    this.#ladder = new EndLadder(needs.log);
  }

  get committedMiB(): number {
    let sum = 0;
    for (const live of this.#live.values()) sum += live.committedMiB;
    return sum;
  }

  liveFacts(vm: VmRecord): Pick<Vm, "agent" | "agentSince" | "agentVersion" | "running" | "warnings"> {
    const live = this.#live.get(vm.id);
    return {
      agent: live?.agent ?? "absent",
      agentSince: live?.agentSince ?? null,
      agentVersion: live?.agentVersion ?? null,
      running: live?.run?.facts.vmm ?? null,
      warnings: live?.warnings ?? [],
    };
  }

  /** The line to a running VM's agent. */
  guest(vm: VmRecord): GuestLink {
    requireDecision(vm, "reach_guest");
    const link = this.#live.get(vm.id)?.link;
    if (link == null)
      throw new WorkfortError("agent_unreachable", `VM "${vm.name}" has no line to its agent yet`, {
        hint: "try again in a moment",
      });
    return link;
  }

  /** The processes in a running VM. */
  processes(vm: VmRecord): GuestProcesses {
    const link = this.guest(vm);
    return new GuestProcesses(link, this.#mustLive(vm).processes);
  }

  liveRun(vmId: string): LiveVm["run"] {
    return this.#live.get(vmId)?.run ?? null;
  }

  /** Resolves when nothing of an ended run is left that a new run or a deletion could meet. */
  async cleared(vmId: string): Promise<void> {
    await this.#clearing.get(vmId);
  }

  /** Resolves when the VM runs and, if asked, its agent has answered. */
  async start(vmId: string, request: StartVm, options: StartOptions): Promise<void> {
    requireDecision(this.#states.find(vmId), "start");
    options.onProgress({ step: "choosing the VMM" });
    const [{ driver, status }, kernel] = await Promise.all([
      this.#vmms.choose(this.#states.find(vmId).vmm),
      this.#kernels.current(),
    ]);
    const overheadMiB = await driver.overheadMiB(this.#states.find(vmId));
    await this.cleared(vmId);
    const live = this.#begin(vmId, driver, { kernel: kernel.version, overheadMiB, reason: options.reason });
    options.onProgress({ step: `booting with ${status.kind} (${status.accelerator ?? "?"})` });
    try {
      await this.#boot(live, driver, kernel);
    } catch (error) {
      throw await this.#failStart(live, error);
    }
    if (!request.waitForAgent) return;
    options.onProgress({ step: "waiting for the guest agent" });
    await awaitAgent(live, request.timeoutMs, () => this.#store.findVm(vmId)?.stateReason ?? "deleted");
  }

  /** Resolves when the VM has ended: asked through its agent or by Ctrl-Alt-Del, then by TERM, then by KILL. */
  async stop(vmId: string, graceMs: number): Promise<void> {
    const vm = this.#states.find(vmId);
    requireDecision(vm, "stop");
    const live = this.#mustLive(vm);
    refuseSwitching(live);
    const canEndItself = vm.state !== "paused" || (await this.#resumeToEnd(vmId));
    requireDecision(this.#states.find(vmId), "stop");
    this.#states.stopping(live);
    failpoint("vm.stop.intent");
    if (!canEndItself) live.endReason = "stopped on request (it was paused and could not be resumed)";
    await this.#ladder.climb(live, canEndItself ? graceMs : 0);
  }

  /** A guest that stands still can neither be asked nor end by itself. */
  async #resumeToEnd(vmId: string): Promise<boolean> {
    try {
      await this.resume(vmId);
      return true;
    } catch (error) {
      this.#log.warn(
        { vm: this.#states.find(vmId).name, err: error },
        "a paused VM that is to stop could not be resumed",
      );
      return this.#states.find(vmId).state === "running"; // somebody else has resumed it
    }
  }

  async kill(vmId: string): Promise<void> {
    const vm = this.#states.find(vmId);
    requireDecision(vm, "kill");
    const live = this.#mustLive(vm);
    live.endReason = "killed on request";
    live.starting.abort(new Error("killed while starting"));
    await this.#ladder.kill(live);
  }

  async pause(vmId: string): Promise<void> {
    await this.#switch(vmId, "pause", async (run) => await run.pause());
    this.#mustLive(this.#states.find(vmId)).link?.expectSilence(true);
  }

  async resume(vmId: string): Promise<void> {
    await this.#switch(vmId, "resume", async (run) => await run.resume());
    this.#mustLive(this.#states.find(vmId)).link?.expectSilence(false);
  }

  /** Finds again what lived when the daemon ended, and settles what did not outlive it. */
  async recover(): Promise<void> {
    await Promise.all(
      this.#store
        .listVms()
        .filter((vm) => liveStates.has(vm.state))
        .map((vm) => this.#readopt(vm)),
    );
    for (const intent of this.#store.intents()) {
      if (intent.kind !== "vm.start" && intent.kind !== "vm.stop") continue;
      if (![...this.#live.values()].some((live) => live.intent === intent.id)) this.#store.deleteIntent(intent.id);
    }
    await this.#recoverInterfaces();
  }

  /** A network that cannot be found again is no reason not to serve: what runs goes on under the rules it has. */
  async #recoverInterfaces(): Promise<void> {
    const vms = [...this.#live.values()].map(({ vm }) => vm);
    await this.#interfaces
      .recover(vms.filter(({ id }) => this.#states.lastBoot(id)?.attached))
      .catch((error: unknown) =>
        this.#log.error({ err: error }, "the network of running VMs could not be found again"),
      );
  }

  /** Lets go of everything without touching any VM; the next daemon finds them again. */
  detach(): void {
    this.#detached = true;
    for (const live of this.#live.values()) live.detach();
  }

  /** The VMM first, then the record: what the record says of a VMM that outlives us is checked when it is found again. */
  async #switch(
    vmId: string,
    request: "pause" | "resume",
    work: (run: NonNullable<LiveVm["run"]>) => Promise<void>,
  ): Promise<void> {
    const vm = this.#states.find(vmId);
    requireDecision(vm, request);
    const live = this.#mustLive(vm);
    refuseSwitching(live);
    if (live.run === null) throw new Error(`VM ${vmId} is ${vm.state} without a run`);
    live.switching = true;
    try {
      await work(live.run);
    } catch (error) {
      throw new WorkfortError("vmm_failed", `VM "${vm.name}" could not be ${request}d: ${(error as Error).message}`, {
        cause: error,
        hint: `nexusctl vm get ${vm.name}`,
      });
    } finally {
      live.switching = false;
    }
    // it may have ended meanwhile
    requireDecision(this.#states.find(vmId), request);
    failpoint(`vm.${request}.done`);
    this.#states.change(vmId, request === "pause" ? "paused" : "running", `${request}d on request`);
  }

  #mustLive(vm: VmRecord): LiveVm {
    const live = this.#live.get(vm.id);
    if (live === undefined) throw new Error(`VM ${vm.id} is ${vm.state} but nothing supervises it`);
    return live;
  }

  #makeLive(vm: VmRecord, bootNumber: number, committedMiB: number): LiveVm {
    return new LiveVm(vm, bootNumber, committedMiB, new ProcessEvents(vm, this.#events));
  }

  /** Accepts a start: nothing can come between the checks and the record of it. */
  #begin(
    vmId: string,
    driver: VmmDriver,
    { kernel, overheadMiB, reason }: { kernel: string; overheadMiB: number; reason: string },
  ): LiveVm {
    const vm = this.#states.find(vmId);
    requireDecision(vm, "start");
    const refusal = refuseMemory({
      limitMiB: this.#memoryLimitMiB,
      committedMiB: this.committedMiB,
      memoryMiB: vm.memoryMiB,
      overheadMiB,
    });
    if (refusal !== null)
      throw new WorkfortError("insufficient_memory", `VM "${vm.name}" cannot start: ${refusal}`, {
        hint: "nexusctl vm list --state running",
      });
    const bootNumber = (this.#states.lastBoot(vmId)?.number ?? 0) + 1;
    const live = this.#makeLive(vm, bootNumber, vm.memoryMiB + overheadMiB);
    this.#states.starting(live, { startedAt: Date.now(), vmm: driver.kind, kernel }, reason);
    this.#live.set(vmId, live);
    failpoint("vm.start.intent");
    return live;
  }

  async #boot(live: LiveVm, driver: VmmDriver, kernel: Parameters<VmmDriver["start"]>[0]["kernel"]): Promise<void> {
    const { vm } = live;
    const network = await this.#attach(live);
    const run = await driver.start(
      {
        id: vm.id,
        name: vm.name,
        cid: vm.cid,
        vcpuCount: vm.vcpuCount,
        memoryMiB: vm.memoryMiB,
        kernel,
        ...disksOf(vm, this.#store, this.#storage),
        network,
        directory: this.#runDirectory(vm.id),
      },
      { onStep: (step) => live.phases.begin(step), signal: live.starting.signal },
    );
    live.phases.end();
    live.run = run;
    failpoint("vm.start.spawned");
    const facts = { ...run.facts, committedMiB: live.committedMiB };
    this.#states.running(live, facts, `booted with ${facts.vmm.kind} (${facts.vmm.accelerator})`);
    failpoint("vm.start.running");
    this.#watch(live);
    this.#connect(live);
  }

  /** Its interface, where it is to have one; where it cannot, it says so in its warnings and starts all the same. */
  async #attach(live: LiveVm): Promise<AttachedNetwork | null> {
    const { vm } = live;
    if (!this.#interfaces.wants(vm)) return null;
    live.phases.begin("network");
    const { attached, trouble } = await this.#interfaces.attach(vm);
    live.phases.end();
    live.starting.signal.throwIfAborted();
    live.networkTrouble = trouble;
    this.#store.updateBoot(vm.id, live.bootNumber, { attached: attached !== null, networkTrouble: trouble });
    failpoint("vm.start.attached");
    return attached;
  }

  /** Settles a start that failed; the driver has left nothing behind. */
  async #failStart(live: LiveVm, error: unknown): Promise<unknown> {
    if (this.#detached) return error;
    const killed = live.starting.signal.aborted;
    const why = error instanceof Error ? error.message : String(error);
    await live.run?.signal("SIGKILL").catch(() => {});
    await live.run?.waitForEnd().catch(() => null);
    await live.run?.release();
    await this.#interfaces.detach(live.vm);
    this.#settle(
      live,
      killed ? "stopped" : "crashed",
      killed ? "killed while starting" : `could not start: ${why}`,
      null,
    );
    return killed ? new WorkfortError("wrong_state", `VM "${live.vm.name}" was killed while it started`) : error;
  }

  #connect(live: LiveVm): void {
    const { run } = live;
    if (run === null) return;
    live.link = this.#guests.connect(
      (signal) => run.openChannel(signal),
      (state, agent) => this.#noteAgent(live, state, agent),
    );
    const firstAnswer = live.link.ready();
    firstAnswer.then(
      (agent) => this.#noteReady(live, agent),
      () => {}, // the VM ended first, or the daemon is going
    );
  }

  #noteAgent(live: LiveVm, state: LinkState, agent: GuestAgent | null): void {
    live.agent = state;
    live.agentSince = Date.now();
    live.agentVersion = agent?.version ?? live.agentVersion;
    this.#log.info({ vm: live.vm.name, agent: state }, "guest agent");
    const vm = { vmId: live.vm.id, vmName: live.vm.name };
    if (agent === null) {
      this.#events.publish({ type: "agent.unreachable", ...vm, reason: live.link?.trouble ?? "" });
      return;
    }
    this.#events.publish({ type: "agent.ready", ...vm, version: agent.version });
    const { link } = live;
    // it ends with the line, and begins again with the next
    if (link !== null) live.processes.follow(link).catch(() => {});
  }

  #noteReady(live: LiveVm, agent: GuestAgent): void {
    live.agentWarnings = [
      ...agent.failedMounts.map(({ device, path, why }) => `drive ${device} could not be mounted on ${path}: ${why}`),
      ...(agent.networkTrouble === null ? [] : [`network: ${agent.networkTrouble}`]),
    ];
    for (const warning of live.agentWarnings) this.#log.warn({ vm: live.vm.name }, warning);
    const boot = this.#states.lastBoot(live.vm.id);
    if (boot === null || boot.number !== live.bootNumber || boot.readyAt !== null) return;
    const readyAt = Date.now();
    const phases = [...boot.phases, ...guestPhases(boot, agent, readyAt)];
    this.#store.updateBoot(live.vm.id, live.bootNumber, { readyAt, phases });
    live.run
      ?.guestBootMs()
      .then((guestBootMs) => {
        if (!this.#detached) this.#store.updateBoot(live.vm.id, live.bootNumber, { guestBootMs });
      })
      .catch(() => {}); // its keeper has gone
  }

  #watch(live: LiveVm): void {
    const { run } = live;
    if (run === null) return;
    void run.waitForEnd(live.watching.signal).then(
      (end) => this.#noteEnd(live, end),
      async (error: unknown) => {
        if (live.watching.signal.aborted) return;
        await this.#noteLostKeeper(live, error);
      },
    );
  }

  /** A VMM dies with its keeper, or else with the release of its run. */
  async #noteLostKeeper(live: LiveVm, error: unknown): Promise<void> {
    this.#log.error({ vm: live.vm.name, err: error }, "the keeper of a VM is gone");
    await live.run?.release().catch((failed: unknown) => {
      this.#log.error({ vm: live.vm.name, err: failed }, "what is left of a VM's run could not be removed");
    });
    await this.#interfaces.detach(live.vm);
    this.#settle(live, "crashed", "its keeper is gone, and the VMM with it", null);
    this.#tellEnd(live);
  }

  async #noteEnd(live: LiveVm, end: VmmEnd): Promise<void> {
    const console = (await live.run?.console(null).catch(() => null)) ?? Buffer.alloc(0);
    const { state, reason } = explainEnd(live.endReason, end, console);
    this.#settle(live, state, reason, end);
    failpoint("vm.end.settled");
    const clearing = this.#clear(live, console).finally(() => this.#clearing.delete(live.vm.id));
    this.#clearing.set(live.vm.id, clearing);
    await clearing;
    live.noteReleased();
    this.#tellEnd(live);
  }

  /** Keeps the console, forgets the run, takes its interface; what cannot be done now is done when the daemon starts again. */
  async #clear(live: LiveVm, console: Buffer): Promise<void> {
    const { name, id } = live.vm;
    await this.#consoles
      .save(id, console)
      .catch((error: unknown) => this.#log.warn({ vm: name, err: error }, "the console could not be kept"));
    await live.run
      ?.release()
      .catch((error: unknown) => this.#log.warn({ vm: name, err: error }, "a run's leftovers could not be removed"));
    await this.#interfaces.detach(live.vm);
  }

  #settle(live: LiveVm, state: "stopped" | "crashed", reason: string, end: VmmEnd | null): void {
    this.#states.ended(live, state, reason, end);
    this.#live.delete(live.vm.id);
    live.noteEnded(end === null);
  }

  /** A run has ended by itself; a start that failed is its caller's, and one that was asked to end is nobody's. */
  #tellEnd(live: LiveVm): void {
    if (live.endReason !== null) return;
    const vm = this.#store.findVm(live.vm.id);
    if (vm === null) return;
    const ranMs = (vm.endedAt ?? 0) - (vm.startedAt ?? 0);
    this.#onEnd(vm, { crashed: vm.state === "crashed", ranMs });
  }

  /** The daemon may have died between the VMM's standing still or going on and the record of it. */
  async #checkPaused(live: LiveVm): Promise<void> {
    const { state } = this.#states.find(live.vm.id);
    if (state !== "running" && state !== "paused") return;
    const isPaused = await live.run?.isPaused().catch(() => state === "paused");
    if (isPaused !== (state === "paused"))
      this.#states.change(live.vm.id, isPaused ? "paused" : "running", "found so after a restart of the daemon");
    live.link?.expectSilence(isPaused ?? false);
  }

  async #readopt(vm: VmRecord): Promise<void> {
    const boot = this.#states.lastBoot(vm.id);
    const live = this.#makeLive(vm, boot?.number ?? 0, boot?.run?.committedMiB ?? vm.memoryMiB);
    live.networkTrouble = boot?.networkTrouble ?? null;
    live.intent = this.#store.intents().find((intent) => (intent.data as { vmId?: string }).vmId === vm.id)?.id ?? null;
    this.#live.set(vm.id, live);
    const driver = this.#vmms.driver(boot?.vmm ?? "qemu");
    live.run = await driver.adopt(this.#runDirectory(vm.id), boot?.run ?? null);
    if (live.run === null) {
      const { state, reason } = explainAbsence(vm, boot, this.#host.bootId);
      this.#settle(live, state, reason, null);
      if (vm.state !== "stopping") this.#tellEnd(live);
      return;
    }
    if (vm.state === "starting")
      this.#states.running(live, live.run.facts, "found running after a restart of the daemon");
    this.#log.info({ vm: vm.name, pid: live.run.facts.vmmPid }, "found a VM of the last run");
    this.#watch(live);
    this.#connect(live);
    await this.#checkPaused(live);
    if (vm.state === "stopping")
      void this.#ladder
        .climb(live, killGraceMs)
        .catch((error: unknown) => this.#log.error({ vm: vm.name, err: error }, "could not stop"));
  }
}

/** Throws `wrong_state` where the VM's state does not allow the request. */
export function requireDecision(vm: VmRecord, request: VmRequest): void {
  const decision = decide(vm, request);
  if (!decision.accept) throw new WorkfortError("wrong_state", decision.reason, { hint: decision.hint });
}

function refuseSwitching(live: LiveVm): void {
  if (!live.switching) return;
  const { name } = live.vm;
  throw new WorkfortError("wrong_state", `VM "${name}" is just being paused or resumed`, {
    hint: `nexusctl vm get ${name}`,
  });
}
