import {
  WorkfortError,
  type Denial,
  type EditNetworkPolicy,
  type NetworkLeftover,
  type NetworkPolicy,
  type NetworkStatus,
  type PolicyInForce,
  type SetNetworkPolicy,
  type VmNetwork,
  type VmNetworkCounters,
} from "@workfort/contract";
import type { AttachedNetwork, GuestNetwork, HostServiceRelay, Logger, Network, Store } from "../ports.ts";
import type { VmRecord } from "../records.ts";
import type { AddressPool } from "./address-pool.ts";
import { addressesOf, macAddressOf, tapOf, type Subnets } from "./addresses.ts";
import type { Policies } from "./policies.ts";

/** for the counters of one interface, ms */
const countersBoundMs = 2_000;

/**
 * The network interfaces of VMs: attached when a VM starts, detached once its run has ended, under the policy that is
 * in force. Records come first and are then applied, by one change at a time, each as the records are when its turn
 * comes; so whatever overtakes what, the last change is the one that holds. What could not be applied is told, stays
 * recorded, and is applied by the next change, `reconcile` or daemon.
 */
export class Interfaces {
  readonly #store: Store;
  readonly #network: Network;
  readonly #relay: HostServiceRelay;
  readonly #pool: AddressPool;
  readonly #policies: Policies;
  readonly #subnets: Subnets;
  readonly #log: Logger;
  /** ids of VMs whose VMM has an interface, or is about to be given one */
  readonly #attached = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();

  constructor(needs: {
    store: Store;
    network: Network;
    relay: HostServiceRelay;
    pool: AddressPool;
    policies: Policies;
    subnets: Subnets;
    log: Logger;
  }) {
    this.#store = needs.store;
    this.#network = needs.network;
    this.#relay = needs.relay;
    this.#pool = needs.pool;
    this.#policies = needs.policies;
    this.#subnets = needs.subnets;
    this.#log = needs.log;
  }

  /** A VM's interface as its records have it; null where it has none. */
  of(vm: VmRecord): VmNetwork | null {
    const number = this.#pool.numberOf(vm.id);
    if (!vm.hasNetwork || number === null) return null;
    const { policy, source } = this.#policies.inForce(vm.id);
    return {
      macAddress: macAddressOf(vm.id),
      ...addressesOf(this.#subnets, number),
      tap: tapOf(vm.id),
      attached: this.#attached.has(vm.id),
      policyMode: policy.mode,
      policySource: source,
    };
  }

  /** Whether a start of this VM has an interface to attach; one without, or with the network off, goes on at once. */
  wants(vm: VmRecord): boolean {
    return vm.hasNetwork && this.#network.mode !== "off";
  }

  /** What the VM's VMM needs of its interface; where there can be none, why, since it starts all the same. */
  async attach(
    vm: VmRecord,
  ): Promise<{ attached: AttachedNetwork; trouble: null } | { attached: null; trouble: string }> {
    try {
      return await this.#inTurn(async () => {
        this.#store.transaction(() => this.#pool.numberFor(vm.id));
        const attached = await this.#network.attach(this.#guest(vm));
        this.#attached.add(vm.id);
        return { attached, trouble: null };
      });
    } catch (error) {
      await this.#detachOrTell(vm);
      const trouble = `it has no network: ${explain(error)}`;
      this.#log.warn({ vm: vm.name, err: error }, trouble);
      return { attached: null, trouble };
    }
  }

  /** Once the VM's VMM is gone; what cannot be done now is done by the next `reconcile` or daemon. */
  async detach(vm: VmRecord): Promise<void> {
    if (this.#attached.delete(vm.id)) await this.#detachOrTell(vm);
  }

  /** After a restart of the daemon, with the VMs that live and whose VMM has an interface. */
  async recover(vms: readonly VmRecord[]): Promise<void> {
    for (const { id } of vms) this.#attached.add(id);
    await this.#inTurn(async () => {
      await this.#offerServices();
      await this.#network.recover(this.#guests());
    });
  }

  async setDefaultPolicy(asked: SetNetworkPolicy): Promise<NetworkPolicy> {
    const policy = this.#policies.setDefault(asked);
    await this.#apply("the default policy", () =>
      [...this.#attached].filter((vmId) => this.#policies.inForce(vmId).source === "default"),
    );
    return policy;
  }

  async setPolicy(vm: VmRecord, asked: SetNetworkPolicy): Promise<PolicyInForce> {
    return await this.#applied(vm, this.#policies.set(vm, asked));
  }

  async editPolicy(vm: VmRecord, edit: EditNetworkPolicy): Promise<PolicyInForce> {
    return await this.#applied(vm, this.#policies.edit(vm, edit));
  }

  async clearPolicy(vm: VmRecord): Promise<PolicyInForce> {
    return await this.#applied(vm, this.#policies.clear(vm));
  }

  /** The host services as they are recorded, and all policies, since a service may have gone from them. */
  async applyServices(): Promise<void> {
    await this.#orRecorded("the host services", async () => {
      await this.#offerServices();
      await this.#put([...this.#attached]);
    });
  }

  /** Null while it has no interface, or where they cannot be read in time. */
  async counters(vmId: string): Promise<VmNetworkCounters | null> {
    if (!this.#attached.has(vmId)) return null;
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), countersBoundMs);
    const read = this.#network.counters(vmId).catch(() => null);
    return await Promise.race([read, late.promise]).finally(() => clearTimeout(timer));
  }

  /** Denials behind a number; with `follow` until the signal fires or the daemon ends. */
  denials(query: Parameters<Network["denials"]>[0], signal: AbortSignal): AsyncIterable<Denial> {
    return this.#network.denials(query, AbortSignal.any([signal, this.#closing.signal]));
  }

  async status(): Promise<NetworkStatus> {
    return { ...(await this.#network.status()), attachedCount: this.#attached.size };
  }

  async reconcile(): Promise<NetworkLeftover[]> {
    return await this.#inTurn(() => this.#network.reconcile(this.#guests()));
  }

  /** Refuses with `in_use` while any VM has an interface. */
  async reset(): Promise<NetworkLeftover[]> {
    return await this.#inTurn(async () => {
      const names = [...this.#attached].map((vmId) => this.#store.findVm(vmId)?.name ?? vmId);
      const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
      if (names.length > 0)
        throw new WorkfortError("in_use", `the network is in use by ${names.slice(0, 3).join(", ")}${more}`, {
          hint: `nexusctl vm stop ${names.join(" ")}`.slice(0, 200),
        });
      return await this.#network.reset();
    });
  }

  /** Lets go; VMs keep their interfaces. */
  async close(): Promise<void> {
    this.endFollowing();
    this.#network.close();
    await this.#relay.close();
  }

  /** Who follows the denials would hold the end of the daemon up. */
  endFollowing(): void {
    this.#closing.abort(new WorkfortError("stopping", "the daemon is stopping"));
  }

  /** The daemon's half first: the gateway's leads to it. */
  async #offerServices(): Promise<void> {
    const services = this.#store.listHostServices();
    await this.#relay.set(services);
    await this.#network.setServices(services);
  }

  async #applied(vm: VmRecord, inForce: PolicyInForce): Promise<PolicyInForce> {
    await this.#apply(`the policy of VM "${vm.name}"`, () => [vm.id].filter((vmId) => this.#attached.has(vmId)));
    return inForce;
  }

  async #apply(what: string, vmIds: () => string[]): Promise<void> {
    await this.#orRecorded(what, () => this.#put(vmIds()));
  }

  async #put(vmIds: readonly string[]): Promise<void> {
    await Promise.all(vmIds.map((vmId) => this.#network.setPolicy(vmId, this.#policies.inForce(vmId).policy)));
  }

  async #orRecorded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await this.#inTurn(work);
    } catch (error) {
      throw new WorkfortError(
        "network_unavailable",
        `${what} is recorded, but could not be applied to what runs: ${explain(error)}`,
        { hint: "nexusctl network reconcile", cause: error },
      );
    }
  }

  async #detachOrTell(vm: VmRecord): Promise<void> {
    await this.#inTurn(() => this.#network.detach(vm.id)).catch((error: unknown) =>
      this.#log.warn({ vm: vm.name, err: error }, "what is left of a VM's interface could not be removed"),
    );
  }

  #guests(): GuestNetwork[] {
    return [...this.#attached].flatMap((vmId) => {
      const vm = this.#store.findVm(vmId);
      return vm === null ? [] : [this.#guest(vm)];
    });
  }

  #guest({ id, name }: VmRecord): GuestNetwork {
    const number = this.#pool.numberOf(id);
    if (number === null) throw new Error(`VM ${id} has no address number`);
    return { vmId: id, vmName: name, number, policy: this.#policies.inForce(id).policy };
  }

  /** Changes wait for one another; one that fails holds up none. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return await turn;
  }
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof WorkfortError ? error.hint : undefined;
  return hint === undefined ? message : `${message} (next: ${hint})`;
}
