import type { VmState } from "@workfort/contract";
import { notFound } from "./errors.ts";
import type { EventSink } from "./events.ts";
import type { LiveVm } from "./live-vm.ts";
import type { Logger, Store, VmmEnd } from "./ports.ts";
import type { BootRecord, RunFacts, VmRecord } from "./records.ts";
import { canChange } from "./state-machine.ts";

/**
 * What is recorded of the lives of VMs: their states, boots and the intents of what has begun. That one runs, or is to
 * stop, is on the medium before anybody is told so: after a power failure its restart policy goes by it. That one
 * starts is not waited for; it is for a daemon that dies.
 */
export class VmStates {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #log: Logger;

  constructor(needs: { store: Store; events: EventSink; log: Logger }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#log = needs.log;
  }

  find(vmId: string): VmRecord {
    const vm = this.#store.findVm(vmId);
    if (vm === null) throw notFound("VM", vmId);
    return vm;
  }

  lastBoot(vmId: string): BootRecord | null {
    return this.#store.boots(vmId, 1)[0] ?? null;
  }

  /** The only place in which a VM's state changes. */
  change(vmId: string, to: VmState, reason: string, also: Partial<VmRecord> = {}): void {
    const vm = this.find(vmId);
    if (!canChange(vm.state, to)) throw new Error(`VM ${vmId} cannot go from ${vm.state} to ${to} (${reason})`);
    this.#store.transaction(() => {
      this.#store.updateVm(vmId, { state: to, stateReason: reason, ...also });
      this.#store.insertStateChange({ vmId, from: vm.state, to, reason, at: Date.now() });
      this.#events.publish({ type: "vm.state_changed", vmId, vmName: vm.name, from: vm.state, to, reason });
    });
    this.#log.info({ vm: vm.name, from: vm.state, to, reason }, "VM state");
  }

  starting(live: LiveVm, boot: Pick<BootRecord, "startedAt" | "vmm" | "kernel">, reason: string): void {
    const vmId = live.vm.id;
    this.#store.transaction(() => {
      this.change(vmId, "starting", reason, { startedAt: boot.startedAt, endedAt: null });
      this.#store.insertBoot({
        vmId,
        number: live.bootNumber,
        ...boot,
        readyAt: null,
        endedAt: null,
        accelerator: null,
        phases: [],
        guestBootMs: null,
        endReason: null,
        exitCode: null,
        signal: null,
        run: null,
        attached: false,
        networkTrouble: null,
      });
      live.intent = this.#store.insertIntent("vm.start", { vmId });
    });
  }

  running(live: LiveVm, facts: RunFacts | null, reason: string): void {
    const phases = live.phases.list();
    this.#store.transaction(
      () => {
        this.change(live.vm.id, "running", reason);
        this.#store.updateBoot(live.vm.id, live.bootNumber, {
          run: facts,
          accelerator: facts?.vmm.accelerator ?? null,
          ...(phases.length === 0 ? {} : { phases }),
        });
        this.#dropIntent(live);
      },
      { durable: true },
    );
  }

  stopping(live: LiveVm): void {
    const vmId = live.vm.id;
    this.#store.transaction(
      () => {
        this.change(vmId, "stopping", "stop requested");
        live.intent = this.#store.insertIntent("vm.stop", { vmId });
      },
      { durable: true },
    );
  }

  ended(live: LiveVm, state: "stopped" | "crashed", reason: string, end: VmmEnd | null): void {
    const endedAt = end?.endedAt ?? Date.now();
    this.#store.transaction(() => {
      this.change(live.vm.id, state, reason, { endedAt });
      this.#store.updateBoot(live.vm.id, live.bootNumber, {
        endedAt,
        endReason: reason,
        exitCode: end?.exitCode ?? null,
        signal: end?.signal ?? null,
        run: null,
      });
      this.#dropIntent(live);
    });
  }

  #dropIntent(live: LiveVm): void {
    if (live.intent !== null) this.#store.deleteIntent(live.intent);
    live.intent = null;
  }
}
