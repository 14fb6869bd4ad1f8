import { WorkfortError } from "@workfort/contract";
import type { Store } from "../ports.ts";
import { firstGuestNumber, lastGuestNumber, type Subnets } from "./addresses.ts";

type AddressStore = Pick<
  Store,
  "takeAddress" | "releaseAddress" | "addressOf" | "highestAddress" | "longestFreeAddress"
>;

/** The numbers of guests (addresses.ts): one for each VM with an interface, kept until it is deleted, reused late. */
export class AddressPool {
  readonly #store: AddressStore;
  readonly #last: number;

  constructor(store: AddressStore, subnets: Subnets) {
    this.#store = store;
    this.#last = lastGuestNumber(subnets);
  }

  /**
   * The VM's number: its own, as long as the subnets have it, else the next. To be called in a transaction. Refuses
   * with `too_many` where every number is some VM's.
   */
  numberFor(vmId: string): number {
    const own = this.numberOf(vmId);
    if (own !== null && own <= this.#last) return own;
    const next = this.#next();
    if (own !== null) this.release(vmId);
    this.#store.takeAddress(next, vmId);
    return next;
  }

  /** Null where it has none. */
  numberOf(vmId: string): number | null {
    return this.#store.addressOf(vmId)?.number ?? null;
  }

  release(vmId: string): void {
    this.#store.releaseAddress(vmId, Date.now());
  }

  /** One that no VM ever had, else the one that was released longest ago: who still knows an address meets nobody. */
  #next(): number {
    const fresh = (this.#store.highestAddress() ?? firstGuestNumber - 1) + 1;
    if (fresh <= this.#last) return fresh;
    const free = this.#store.longestFreeAddress(this.#last);
    if (free !== null) return free.number;
    const count = this.#last - firstGuestNumber + 1;
    throw new WorkfortError("too_many", `all ${count} addresses of the guests' subnet are VMs'`, {
      hint: "delete a VM, make one with --no-network, or set network.ipv4Subnet in nexus.yaml to a larger one",
    });
  }
}
