import type { Denial } from "@workfort/contract";
import type { Guest } from "../guest.ts";

export type Refused = Pick<Denial, "kind" | "name" | "address" | "port" | "protocol" | "reason">;

const maxKept = 4096;
/** for which equal ones are one, ms */
const windowMs = 1000;
/** different ones that are being counted at once */
const maxOpen = 1024;
const maxNameLength = 300;

interface Open {
  denial: Omit<Denial, "number">;
  timer: NodeJS.Timeout;
}

/**
 * What was not let through: the newest, numbered in order. Equal ones within a second are one with a count, which has
 * its number once the second is over, or somebody asks.
 */
export class Denials {
  readonly #kept: Denial[] = [];
  readonly #open = new Map<string, Open>();
  readonly #followers = new Set<(denial: Denial) => void>();
  /** behind every number of a gateway before this one, so that who follows goes on: it had fewer than one a ms */
  #last = Date.now();

  add(guest: Guest, refused: Refused): void {
    if (refused.kind !== "packet" && refused.kind !== "spoof") guest.deniedHere += 1; // those the kernel counts
    const name = refused.name?.slice(0, maxNameLength) ?? null;
    const key = JSON.stringify([guest.vm.id, { ...refused, name }]);
    const open = this.#open.get(key);
    if (open !== undefined) {
      open.denial.count += 1;
      return;
    }
    const denial = { at: Date.now(), vmId: guest.vm.id, vmName: guest.vm.name, ...refused, name, count: 1 };
    const timer = setTimeout(() => this.#settle(key), windowMs);
    timer.unref();
    this.#open.set(key, { denial, timer });
    const oldest = this.#open.keys().next().value;
    if (this.#open.size > maxOpen && oldest !== undefined) this.#settle(oldest);
  }

  /** Those behind number `after`, of one VM or of all. */
  list(after: number, vmId: string | null): Denial[] {
    for (const key of this.#open.keys()) this.#settle(key);
    return this.#kept.filter((denial) => denial.number > after && (vmId === null || denial.vmId === vmId));
  }

  /** Calls with each one that comes; what is returned ends that. */
  follow(tell: (denial: Denial) => void): () => void {
    this.#followers.add(tell);
    return () => this.#followers.delete(tell);
  }

  #settle(key: string): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    this.#open.delete(key);
    clearTimeout(open.timer);
    const denial = { number: (this.#last += 1), ...open.denial };
    this.#kept.push(denial);
    if (this.#kept.length > maxKept) this.#kept.splice(0, this.#kept.length - maxKept);
    for (const tell of this.#followers) tell(denial);
  }
}
