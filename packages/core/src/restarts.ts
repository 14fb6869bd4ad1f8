import type { Logger, Store } from "./ports.ts";
import type { VmRecord } from "./records.ts";

/**
 * Starts VMs that nobody asks for at the moment. By their policy: `on-failure` those that crashed, `always` also those
 * whose guest shut itself down; who asked for the end gets it. And after a boot of the host those that want it.
 *
 * The wait before a restart doubles with each one and begins anew after a run that lasted. A restart that is due is
 * an intent in the store, so that the next daemon does what this one no longer could.
 */
const firstDelayMs = 1_000;
const maxDelayMs = 60_000;
/** a run of this length counts as good, ms */
const stableMs = 60_000;

/** for the history of a VM */
const reasons = { policy: "started again by its restart policy", hostBoot: "started since the host has booted" };

interface Due {
  vmId: string;
  why: keyof typeof reasons;
}

interface Pending {
  intent: number;
  why: Due["why"];
  at: number;
  timer: NodeJS.Timeout | null;
}

export class Restarts {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #start: (vmId: string, reason: string) => Promise<void>;
  readonly #attempts = new Map<string, number>();
  readonly #pending = new Map<string, Pending>();
  #closed = false;

  /** `start` resolves when the VMM runs */
  constructor(needs: { store: Store; log: Logger; start: (vmId: string, reason: string) => Promise<void> }) {
    this.#store = needs.store;
    this.#log = needs.log;
    this.#start = needs.start;
  }

  /** Unix ms at which the VM will be started again; null where it will not. */
  dueAt(vmId: string): number | null {
    return this.#pending.get(vmId)?.at ?? null;
  }

  /** Told of every end that nobody has asked for. */
  noteEnd(vm: VmRecord, end: { crashed: boolean; ranMs: number }): void {
    if (end.ranMs >= stableMs) this.#attempts.delete(vm.id);
    if (vm.restart === "always" || (vm.restart === "on-failure" && end.crashed)) this.#schedule(vm, "policy");
  }

  /** Gives up a restart that is due, for somebody has decided otherwise; whether there was one. */
  cancel(vmId: string): boolean {
    this.#attempts.delete(vmId);
    const pending = this.#pending.get(vmId);
    if (pending === undefined) return false;
    this.#drop(vmId, pending);
    return true;
  }

  /** Called once all that lives was found again: in the first daemon of a boot, what wants to be started is due. */
  noteHostBoot(bootId: string): void {
    if (this.#store.hostBoot() === bootId) return;
    this.#store.transaction(
      () => {
        this.#store.setHostBoot(bootId);
        for (const vm of this.#store.listVms())
          if (vm.startOnBoot && isDown(vm) && !this.#pending.has(vm.id)) this.#insert(vm.id, "hostBoot");
      },
      { durable: true },
    );
  }

  /** Takes up what the last daemon had not done yet. */
  recover(): void {
    for (const intent of this.#store.intents()) {
      if (intent.kind !== "vm.restart" || [...this.#pending.values()].some((pending) => pending.intent === intent.id))
        continue;
      this.#store.deleteIntent(intent.id);
      const { vmId, why } = intent.data as Due;
      const vm = this.#store.findVm(vmId);
      if (vm !== null && !this.#pending.has(vm.id)) this.#schedule(vm, why);
    }
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#pending.values()) if (timer !== null) clearTimeout(timer);
  }

  #insert(vmId: string, why: Due["why"]): number {
    return this.#store.insertIntent("vm.restart", { vmId, why } satisfies Due);
  }

  #schedule(vm: VmRecord, why: Due["why"]): void {
    if (this.#closed) return;
    const attempt = this.#attempts.get(vm.id) ?? 0;
    this.#attempts.set(vm.id, attempt + 1);
    const delayMs = Math.min(firstDelayMs * 2 ** attempt, maxDelayMs);
    const pending: Pending = {
      intent: this.#insert(vm.id, why),
      why,
      at: Date.now() + delayMs,
      timer: null,
    };
    pending.timer = setTimeout(() => void this.#restart(vm, pending), delayMs);
    this.#pending.set(vm.id, pending);
    this.#log.info({ vm: vm.name, delayMs, attempt: attempt + 1 }, "VM will be started again");
  }

  async #restart(vm: VmRecord, pending: Pending): Promise<void> {
    this.#drop(vm.id, pending);
    try {
      await this.#start(vm.id, reasons[pending.why]);
    } catch (error) {
      this.#log.warn({ vm: vm.name, err: error }, "VM could not be started again");
      // a failed start is not an end of a run; what can go wrong once may be right later
      const now = this.#store.findVm(vm.id);
      if (now !== null && isDown(now) && !this.#pending.has(vm.id)) this.#schedule(now, pending.why);
    }
  }

  #drop(vmId: string, pending: Pending): void {
    if (pending.timer !== null) clearTimeout(pending.timer);
    this.#pending.delete(vmId);
    this.#store.deleteIntent(pending.intent);
  }
}

function isDown({ state }: VmRecord): boolean {
  return state === "created" || state === "stopped" || state === "crashed";
}
