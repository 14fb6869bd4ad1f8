import type { AgentState } from "@workfort/contract";
import { PhaseClock } from "./boot-phases.ts";
import type { GuestLink, VmmRun } from "./ports.ts";
import type { ProcessEvents } from "./process-events.ts";
import type { VmRecord } from "./records.ts";

/** What exists in memory for a VM in a live state. */
export class LiveVm {
  readonly vm: VmRecord;
  readonly bootNumber: number;
  /** memory it counts for in admission, MiB */
  readonly committedMiB: number;
  /** aborted by a kill while the VM starts */
  readonly starting = new AbortController();
  /** aborted when the daemon lets go */
  readonly watching = new AbortController();
  readonly phases = new PhaseClock();
  readonly processes: ProcessEvents;
  run: VmmRun | null = null;
  link: GuestLink | null = null;
  agent: AgentState = "connecting";
  /** since when it has been in that state, Unix ms */
  agentSince = Date.now();
  agentVersion: string | null = null;
  /** why it has no interface although it should */
  networkTrouble: string | null = null;
  /** what its agent could not do at boot */
  agentWarnings: readonly string[] = [];
  /** while the VMM is being paused or resumed */
  switching = false;
  /** set by stop and kill before they bring the end about */
  endReason: string | null = null;
  /** the unfinished intent of a start or stop */
  intent: number | null = null;
  /** resolves when the end is recorded and nothing of the run is left */
  readonly ended: Promise<void>;
  #resolveEnded: () => void = () => {};

  constructor(vm: VmRecord, bootNumber: number, committedMiB: number, processes: ProcessEvents) {
    this.vm = vm;
    this.processes = processes;
    this.bootNumber = bootNumber;
    this.committedMiB = committedMiB;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get warnings(): string[] {
    return [...(this.networkTrouble === null ? [] : [this.networkTrouble]), ...this.agentWarnings];
  }

  noteEnded(released: boolean): void {
    this.agent = "absent";
    this.link?.close();
    if (released) this.#resolveEnded();
  }

  noteReleased(): void {
    this.#resolveEnded();
  }

  /** Whether it ends before `boundMs` have passed. */
  async endsWithin(boundMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(resolve, boundMs, false);
    void this.ended.then(() => resolve(true));
    return await promise.finally(() => clearTimeout(timer));
  }

  detach(): void {
    this.watching.abort();
    this.starting.abort(new Error("the daemon is stopping"));
    this.link?.close();
  }
}
