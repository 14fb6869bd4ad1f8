import { closedRanges } from "@workfort/core/network/closed-ranges.ts";
import type { AddressRange } from "@workfort/core/network/ip.ts";
import { CompiledPolicy } from "@workfort/core/network/policy.ts";
import { WorkfortError, type NetworkPolicy, type VmNetworkCounters } from "@workfort/contract";
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
    this.#packets = new RefusedPackets((number) => this.#byNumber(number), this.denials);
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
      const guest = this.#guests.get(vm.id) ?? null;
      const policy = new CompiledPolicy(vm.policy, this.#closed);
      const fed = guest?.fed(policy) ?? "";
      await this.#rules.putGuest({ vm, policy, fed }, settings, guest?.vm ?? null);
      if (guest !== null && guest.vm.tap !== vm.tap) await this.#links.detach(guest.vm, settings);
      this.#keep(vm, policy);
      await this.#links.attach([vm], settings);
    });
  }

  async putPolicy(vmId: string, policy: NetworkPolicy): Promise<void> {
    await this.#turns.take(async () => {
      const guest = this.#guests.get(vmId);
      if (guest === undefined) throw new WorkfortError("not_found", `no VM ${vmId} is attached`);
      const vm = { ...guest.vm, policy };
      const compiled = new CompiledPolicy(policy, this.#closed);
      await this.#rules.putGuest({ vm, policy: compiled, fed: guest.fed(compiled) }, this.#requireSettings(), guest.vm);
      guest.become(vm, compiled);
    });
  }

  async removeVm(vmId: string): Promise<void> {
    await this.#turns.take(async () => {
      const guest = this.#guests.get(vmId);
      if (guest === undefined) return;
      await this.#links.detach(guest.vm, this.#requireSettings());
      await this.#rules.removeGuest(guest.vm);
      this.#forget(guest);
    });
  }

  /** By id of the VM. */
  async counters(): Promise<Record<string, VmNetworkCounters>> {
    const counts = await this.#rules.counts();
    const count = (name: string): { packets: number; bytes: number } => counts.get(name) ?? { packets: 0, bytes: 0 };
    return Object.fromEntries(
      [...this.#guests.values()].map(({ vm: { id, number }, deniedHere }) => [
        id,
        {
          sentBytes: count(`sent_${number}`).bytes,
          sentPackets: count(`sent_${number}`).packets,
          receivedBytes: count(`received_${number}`).bytes,
          receivedPackets: count(`received_${number}`).packets,
          deniedPackets: count(`denied_${number}`).packets + count(`spoofed_${number}`).packets + deniedHere,
        },
      ]),
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
    await this.#links.prepare(settings);
    const ruled = vms.map((vm) => {
      const policy = new CompiledPolicy(vm.policy, closed);
      return { vm, policy, fed: this.#guests.get(vm.id)?.fed(policy) ?? "" };
    });
    await this.#rules.putAll(settings, closed, ruled);
    if (JSON.stringify(settings.dnsServers) !== JSON.stringify(this.#settings?.dnsServers))
      this.#resolver.setServers(settings.dnsServers);
    this.#settings = settings;
    this.#closed = closed;
    const ids = new Set(vms.map(({ id }) => id));
    for (const guest of this.#guests.values()) if (!ids.has(guest.vm.id)) this.#forget(guest);
    for (const { vm, policy } of ruled) this.#keep(vm, policy);
    await this.#links.removeOthers(vms, settings);
    await this.#links.attach(vms, settings);
    this.#packets.start();
    await this.#listen([settings.ipv4.gateway, settings.ipv6.gateway]);
    await this.#services.offer(settings);
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

  #byNumber(number: number): Guest | null {
    return this.#guests.values().find(({ vm }) => vm.number === number) ?? null;
  }

  #keep(vm: GatewayVm, policy: CompiledPolicy): void {
    const guest = this.#guests.get(vm.id) ?? new Guest(vm, this.#closed);
    for (const address of guest.addresses) this.#byAddress.delete(address);
    guest.become(vm, policy);
    this.#guests.set(vm.id, guest);
    for (const address of guest.addresses) this.#byAddress.set(address, guest);
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
