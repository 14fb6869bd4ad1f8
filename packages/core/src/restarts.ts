import type { Logger, Store } from "./ports.ts";
import type { VmRecord } from "./records.ts";

/**
 * Starts VMs again by their policy: `on-failure` those that crashed, `always` also those whose guest shut itself
 * down. Who asked for the end gets it.
 *
 * The wait before a restart doubles with each one and begins anew after a run that lasted. A restart that is due is
 * an intent in the store, so that the next daemon does what this one no longer could.
 */
const firstDelayMs = 1_000;
const maxDelayMs = 60_000;
/** a run of this length counts as good, ms */
const stableMs = 60_000;

interface Pending {
  intent: number;
  at: number;
  timer: NodeJS.Timeout | null;
}

export class Restarts {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #start: (vmId: string) => Promise<void>;
  readonly #attempts = new Map<string, number>();
  readonly #pending = new Map<string, Pending>();
  #closed = false;

  /** `start` resolves when the VMM runs */
  constructor(needs: { store: Store; log: Logger; start: (vmId: string) => Promise<void> }) {
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
    if (vm.restart === "always" || (vm.restart === "on-failure" && end.crashed)) this.#schedule(vm);
  }

  /** Gives up a restart that is due, for somebody has decided otherwise; whether there was one. */
  cancel(vmId: string): boolean {
    this.#attempts.delete(vmId);
    const pending = this.#pending.get(vmId);
    if (pending === undefined) return false;
    this.#drop(vmId, pending);
    return true;
  }

  /** Takes up what the last daemon had not done yet. */
  recover(): void {
    for (const intent of this.#store.intents()) {
      if (intent.kind !== "vm.restart") continue;
      this.#store.deleteIntent(intent.id);
      const vm = this.#store.findVm((intent.data as { vmId: string }).vmId);
      if (vm !== null && !this.#pending.has(vm.id)) this.#schedule(vm);
    }
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#pending.values()) if (timer !== null) clearTimeout(timer);
  }

  #schedule(vm: VmRecord): void {
    if (this.#closed) return;
    const attempt = this.#attempts.get(vm.id) ?? 0;
    this.#attempts.set(vm.id, attempt + 1);
    const delayMs = Math.min(firstDelayMs * 2 ** attempt, maxDelayMs);
    const pending: Pending = {
      intent: this.#store.insertIntent("vm.restart", { vmId: vm.id }),
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
      await this.#start(vm.id);
    } catch (error) {
      this.#log.warn({ vm: vm.name, err: error }, "VM could not be started again");
      // a failed start is not an end of a run; what can go wrong once may be right later
      const now = this.#store.findVm(vm.id);
      if (now !== null && (now.state === "crashed" || now.state === "stopped") && !this.#pending.has(vm.id))
        this.#schedule(now);
    }
  }

  #drop(vmId: string, pending: Pending): void {
    if (pending.timer !== null) clearTimeout(pending.timer);
    this.#pending.delete(vmId);
    this.#store.deleteIntent(pending.intent);
  }
}
