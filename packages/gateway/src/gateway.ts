import { closedRanges } from "@workfort/core/network/closed-ranges.ts";
import type { AddressRange } from "@workfort/core/network/ip.ts";
import { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { NetworkPolicy, VmNetworkCounters } from "@workfort/contract";
import { WorkfortError } from "@workfort/contract/errors";
import type {
  GatewayInventory,
  GatewaySettings,
  GatewayState,
  GatewayVm,
} from "@workfort/host/network/gateway-protocol.ts";
import { Doorway } from "./check/doorway.ts";
import { httpDoor } from "./check/http-door.ts";
import { tlsDoor } from "./check/tls-door.ts";
import { Denials } from "./denials/denials.ts";
import { RefusedPackets } from "./denials/refused-packets.ts";
import { Answerer } from "./dns/answerer.ts";
import { NameServer } from "./dns/name-server.ts";
import { Resolver } from "./dns/resolver.ts";
import { Guest } from "./guest.ts";
import { Links } from "./links/links.ts";
import { Rules } from "./rules/rules.ts";
import { ServiceDoors } from "./service-doors.ts";
import { Turns } from "./turns.ts";

/**
 * The network of one workplace, within its namespace: links, rules, names, checks. What changes it comes one after the
 * other; what guests do goes on beside it. Nothing of it is kept on disk: who starts a gateway puts the whole state.
 */
export class Gateway {
  readonly denials = new Denials();
  readonly #links = new Links();
  readonly #rules = new Rules();
  readonly #resolver = new Resolver();
  readonly #guests = new Map<string, Guest>();
  readonly #byAddress = new Map<string, Guest>();
  readonly #turns = new Turns();
  readonly #names: NameServer;
  readonly #checks: readonly Doorway[];
  readonly #services: ServiceDoors;
  readonly #packets: RefusedPackets;
  #settings: GatewaySettings | null = null;
  #closed: readonly AddressRange[] = [];
  #listening = "";

  constructor() {
    const answerer = new Answerer({ resolver: this.#resolver, rules: this.#rules, denials: this.denials });
    const guestAt = (address: string): Guest | null => this.#byAddress.get(address) ?? null;
    this.#names = new NameServer(guestAt, (query, guest) => answerer.answer(query, guest, this.#requireSettings()));
    this.#checks = [httpDoor, tlsDoor].map((door) => new Doorway(guestAt, door(this.#resolver, this.denials)));
    this.#services = new ServiceDoors(guestAt);
    const guestOn = (tap: string): Guest | null => this.#guests.values().find(({ vm }) => vm.tap === tap) ?? null;
    this.#packets = new RefusedPackets({ guestAt, guestOn, denials: this.denials });
  }

  get vmIds(): string[] {
    return [...this.#guests.keys()];
  }

  /** Exchanges everything: what is not in `state` is gone, what has not changed goes on undisturbed. */
  async putState({ vms, ...settings }: GatewayState): Promise<void> {
    await this.#turns.take(async () => await this.#exchange(settings, vms));
  }

  async putSettings(settings: GatewaySettings): Promise<void> {
    await this.#turns.take(async () => {
      if (JSON.stringify(settings) !== JSON.stringify(this.#settings)) {
        const vms = [...this.#guests.values()].map(({ vm }) => vm);
        await this.#exchange(settings, vms);
      }
    });
  }

  /** Makes a VM's tap and rules; with another policy or place it is changed. */
  async putVm(vm: GatewayVm): Promise<void> {
    await this.#turns.take(async () => {
      const settings = this.#requireSettings();
      const before = this.#guests.get(vm.id)?.vm ?? null;
      if (before !== null && placeOf(before) !== placeOf(vm)) await this.#remove(vm.id, settings);
      await Promise.all([this.#change(vm), this.#links.attach([vm], settings)]);
    });
  }

  async putPolicy(vmId: string, policy: NetworkPolicy): Promise<void> {
    await this.#turns.take(async () => {
      const guest = this.#guests.get(vmId);
      if (guest === undefined) throw new WorkfortError("not_found", `no VM ${vmId} is attached`);
      await this.#change({ ...guest.vm, policy });
    });
  }

  async removeVm(vmId: string): Promise<void> {
    await this.#turns.take(async () => {
      if (this.#guests.has(vmId)) await this.#remove(vmId, this.#requireSettings());
    });
  }

  /** By id of the VM. */
  async counters(): Promise<Record<string, VmNetworkCounters>> {
    const counts = await this.#rules.counts();
    const of = (name: string): { packets: number; bytes: number } => counts.get(name) ?? { packets: 0, bytes: 0 };
    return Object.fromEntries(
      [...this.#guests.values()].map(({ vm: { id, tap, ipv4, ipv6 }, deniedHere }) => {
        const sent = of(`sent ${tap}`);
        const received = of(`received ${tap}`);
        const denied = [`forged ${tap}`, `denied4 ${ipv4}`, `denied6 ${ipv6}`];
        const counters = {
          sentBytes: sent.bytes,
          sentPackets: sent.packets,
          receivedBytes: received.bytes,
          receivedPackets: received.packets,
          deniedPackets: denied.reduce((sum, name) => sum + of(name).packets, deniedHere),
        };
        return [id, counters];
      }),
    );
  }

  async inventory(): Promise<GatewayInventory> {
    return { taps: await this.#links.taps(), chains: await this.#rules.chains() };
  }

  /** Stops answering. Rules and taps stay: they are what holds while no gateway is there. */
  close(): void {
    this.#stopListening();
    this.#packets.close();
    for (const guest of this.#guests.values()) guest.endConnections();
  }

  async #exchange(settings: GatewaySettings, vms: readonly GatewayVm[]): Promise<void> {
    const closed = closedRanges([settings.ipv4.subnet, settings.ipv6.subnet, ...settings.hostAddresses]);
    const policies = vms.map((vm) => new CompiledPolicy(vm.policy, closed)); // one that cannot be stops it here
    await this.#links.prepare(settings);
    const counts = await this.#rules.counts();
    // from here on the new state is the true one: what is asked meanwhile is judged by it
    if (JSON.stringify(settings.dnsServers) !== JSON.stringify(this.#settings?.dnsServers))
      this.#resolver.setServers(settings.dnsServers);
    this.#settings = settings;
    this.#closed = closed;
    const ids = new Set(vms.map(({ id }) => id));
    for (const guest of this.#guests.values()) if (!ids.has(guest.vm.id)) this.#forget(guest);
    const guests = vms.flatMap((vm, index) => (policies[index] === undefined ? [] : [this.#keep(vm, policies[index])]));
    await this.#rules.putAll(settings, closed, guests, counts);
    await this.#links.removeOthers(vms, settings);
    await this.#links.attach(vms, settings);
    this.#packets.start();
    await this.#listen([settings.ipv4.gateway, settings.ipv6.gateway]);
    await this.#services.offer(settings);
  }

  /** Gives a guest its policy and rules; where the kernel does not take them, all is made again as it was. */
  async #change(vm: GatewayVm): Promise<void> {
    const before = this.#guests.get(vm.id)?.vm ?? null;
    const policy = new CompiledPolicy(vm.policy, this.#closed);
    try {
      await this.#rules.putGuest(this.#keep(vm, policy));
    } catch (error) {
      const others = [...this.#guests.values()].flatMap((guest) => (guest.vm.id === vm.id ? [] : [guest.vm]));
      await this.#exchange(this.#requireSettings(), before === null ? others : [...others, before]);
      throw error;
    }
  }

  async #remove(vmId: string, settings: GatewaySettings): Promise<void> {
    const guest = this.#guests.get(vmId);
    if (guest === undefined) return;
    this.#forget(guest);
    await this.#links.detach(guest.vm, settings);
    await this.#rules.removeGuest(guest);
  }

  async #listen(addresses: string[]): Promise<void> {
    if (this.#listening === addresses.join()) return;
    this.#stopListening();
    await this.#names.listen(addresses);
    for (const door of this.#checks) await door.listen(addresses);
    this.#listening = addresses.join();
  }

  #stopListening(): void {
    this.#names.close();
    for (const door of this.#checks) door.close();
    this.#services.close();
    this.#listening = "";
  }

  #keep(vm: GatewayVm, policy: CompiledPolicy): Guest {
    const guest = this.#guests.get(vm.id) ?? new Guest(vm, policy);
    for (const address of guest.addresses) this.#byAddress.delete(address);
    guest.become(vm, policy);
    this.#guests.set(vm.id, guest);
    for (const address of guest.addresses) this.#byAddress.set(address, guest);
    return guest;
  }

  #forget(guest: Guest): void {
    guest.endConnections();
    this.#guests.delete(guest.vm.id);
    for (const address of guest.addresses) if (this.#byAddress.get(address) === guest) this.#byAddress.delete(address);
  }

  #requireSettings(): GatewaySettings {
    if (this.#settings === null)
      throw new WorkfortError("wrong_state", "the gateway has no state yet", { hint: "PUT /v1/state" });
    return this.#settings;
  }
}

/** What of a VM cannot change while its rules stay. */
function placeOf({ tap, macAddress, ipv4, ipv6 }: GatewayVm): string {
  return JSON.stringify([tap, macAddress, ipv4, ipv6]);
}
