import {
  maxAllowEntries,
  WorkfortError,
  wholePolicy,
  type EditNetworkPolicy,
  type NetworkPolicy,
  type PolicyInForce,
  type SetNetworkPolicy,
} from "@workfort/contract";
import { notFound } from "../errors.ts";
import type { EventSink } from "../events.ts";
import type { Store } from "../ports.ts";
import type { VmRecord } from "../records.ts";
import { CompiledPolicy } from "./policy.ts";

/**
 * What VMs may reach, as records: a policy of their own, or the default one. The default is the configuration's until
 * one is recorded. Nothing here touches the network: who changes a policy has it applied (interfaces.ts).
 */
export class Policies {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #configured: NetworkPolicy;

  constructor(needs: { store: Store; events: EventSink; configured: NetworkPolicy }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#configured = needs.configured;
  }

  default(): NetworkPolicy {
    return this.#store.networkPolicy(null) ?? this.#configured;
  }

  inForce(vmId: string): PolicyInForce {
    const own = this.#store.networkPolicy(vmId);
    return own === null ? { policy: this.default(), source: "default" } : { policy: own, source: "vm" };
  }

  setDefault(asked: SetNetworkPolicy): NetworkPolicy {
    const policy = this.whole(asked);
    this.#record(() => this.#store.setNetworkPolicy(null, policy), null);
    return policy;
  }

  set(vm: VmRecord, asked: SetNetworkPolicy): PolicyInForce {
    requireInterface(vm);
    const policy = this.whole(asked);
    this.#record(() => this.#store.setNetworkPolicy(vm.id, policy), vm);
    return this.inForce(vm.id);
  }

  clear(vm: VmRecord): PolicyInForce {
    requireInterface(vm);
    this.#record(() => this.#store.deleteNetworkPolicy(vm.id), vm);
    return this.inForce(vm.id);
  }

  /** Changes the entries of what is in force, which is the VM's own from then on. */
  edit(vm: VmRecord, { allow = [], deny = [] }: EditNetworkPolicy): PolicyInForce {
    requireInterface(vm);
    const { policy } = this.inForce(vm.id);
    if (policy.mode === "open")
      throw new WorkfortError(
        "wrong_state",
        `VM "${vm.name}" has an open policy, which has no entries: it reaches the whole internet`,
        { hint: `nexusctl network policy set ${vm.name} --allow example.com` },
      );
    const unknown = deny.find((entry) => !policy.allow.includes(entry));
    if (unknown !== undefined)
      throw new WorkfortError("not_found", `the policy of VM "${vm.name}" has no entry ${unknown}`, {
        hint: `nexusctl network policy get ${vm.name}`,
      });
    const entries = [...new Set([...policy.allow.filter((entry) => !deny.includes(entry)), ...allow])];
    if (entries.length > maxAllowEntries)
      throw new WorkfortError(
        "too_many",
        `the policy of VM "${vm.name}" would have ${entries.length} entries, and may have ${maxAllowEntries}`,
      );
    const mode = policy.mode === "none" && entries.length === 0 ? "none" : "allow";
    const edited = requireUsable({ ...policy, mode, allow: entries });
    this.#record(() => this.#store.setNetworkPolicy(vm.id, edited), vm);
    return this.inForce(vm.id);
  }

  /** The whole policy that was asked for; refuses host services that do not exist. */
  whole(asked: SetNetworkPolicy): NetworkPolicy {
    const known = this.#store.listHostServices().map(({ name }) => name);
    const unknown = asked.services?.find((name) => !known.includes(name));
    if (unknown !== undefined) throw notFound("service", unknown);
    return requireUsable(wholePolicy(asked));
  }

  /** Takes a host service out of every policy, so that another of its name is not given to anybody unasked. */
  forgetService(name: string): void {
    for (const vmId of [null, ...this.#store.vmsWithPolicy()]) {
      const policy = this.#store.networkPolicy(vmId);
      if (policy?.services.includes(name) !== true) continue;
      const services = policy.services.filter((other) => other !== name);
      const vm = vmId === null ? null : this.#store.findVm(vmId);
      this.#record(() => this.#store.setNetworkPolicy(vmId, { ...policy, services }), vm);
    }
  }

  /** Durable: a policy that was made narrower is so after a loss of power, too. */
  #record(change: () => void, vm: VmRecord | null): void {
    this.#store.transaction(
      () => {
        change();
        const { policy, source } =
          vm === null ? { policy: this.default(), source: "default" as const } : this.inForce(vm.id);
        this.#events.publish({
          type: "network.policy_changed",
          vmId: vm?.id ?? null,
          vmName: vm?.name ?? null,
          mode: policy.mode,
          source,
        });
      },
      { durable: true },
    );
  }
}

/** Refuses here what the gateway could make no rules of. */
function requireUsable(policy: NetworkPolicy): NetworkPolicy {
  void new CompiledPolicy(policy, []);
  return policy;
}

function requireInterface(vm: VmRecord): void {
  if (vm.hasNetwork) return;
  throw new WorkfortError("wrong_state", `VM "${vm.name}" was created without a network interface`, {
    hint: `nexusctl vm create, without --no-network`,
  });
}
