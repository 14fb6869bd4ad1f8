import {
  WorkfortError,
  type Denial,
  type HostService,
  type NetworkPolicy,
  type NetworkStatus,
} from "@workfort/contract";
import { macAddressOf, tapOf, type GuestNetwork, type Network } from "@workfort/core";

/**
 * A double of the network for tests of the rules: it remembers what it was told. The real one, of which this is the
 * port's contract and no more, is in packages/host/src/network.
 */
export class MemoryNetwork implements Network {
  readonly guests = new Map<string, GuestNetwork>();
  services: readonly HostService[] = [];
  mode: NetworkStatus["mode"] = "auto";
  /** what everything fails with; null while it works */
  trouble: string | null = null;
  /** each change waits for it */
  gate: Promise<void> = Promise.resolve();
  readonly told: string[] = [];
  denied: Denial[] = [];

  status(): Promise<NetworkStatus> {
    return Promise.resolve({
      mode: this.mode,
      way: this.trouble === null ? "root" : null,
      usable: this.trouble === null,
      reason: this.trouble ?? "it is in memory",
      hint: null,
      bridge: "nexbr0",
      ipv4Subnet: "10.213.0.0/16",
      ipv6Subnet: "fd5f:2113:61c5::/64",
      dnsServers: [],
      gatewayPid: null,
      attachedCount: 0,
    });
  }

  async attach(guest: GuestNetwork) {
    await this.#turn(`attach ${guest.vmName}`);
    this.guests.set(guest.vmId, guest);
    return {
      tap: tapOf(guest.vmId),
      macAddress: macAddressOf(guest.vmId),
      bootArguments: [],
      namespaces: { network: "/proc/1/ns/net", user: null },
    };
  }

  async detach(vmId: string): Promise<void> {
    await this.#turn("detach");
    this.guests.delete(vmId);
  }

  async setPolicy(vmId: string, policy: NetworkPolicy): Promise<void> {
    await this.#turn(`policy ${policy.mode}`);
    const guest = this.guests.get(vmId);
    if (guest === undefined) throw new Error(`${vmId} is not attached`);
    this.guests.set(vmId, { ...guest, policy });
  }

  async setServices(services: readonly HostService[]): Promise<void> {
    await this.#turn("services");
    this.services = services;
  }

  counters() {
    const count = { sentBytes: 1, sentPackets: 2, receivedBytes: 3, receivedPackets: 4, deniedPackets: 5 };
    return Promise.resolve(count);
  }

  async *denials({ after, vmId }: { after: number; vmId: string | null }): AsyncGenerator<Denial> {
    await this.#turn("denials");
    yield* this.denied.filter((one) => one.number > after && (vmId === null || one.vmId === vmId));
  }

  async recover(guests: readonly GuestNetwork[]): Promise<void> {
    await this.#turn("recover");
    this.#put(guests);
  }

  async reconcile(guests: readonly GuestNetwork[]) {
    await this.#turn("reconcile");
    this.#put(guests);
    return [];
  }

  async reset() {
    await this.#turn("reset");
    this.guests.clear();
    return [];
  }

  close(): void {}

  #put(guests: readonly GuestNetwork[]): void {
    this.guests.clear();
    for (const guest of guests) this.guests.set(guest.vmId, guest);
  }

  async #turn(what: string): Promise<void> {
    this.told.push(what);
    await this.gate;
    if (this.trouble !== null)
      throw new WorkfortError("network_unavailable", this.trouble, { hint: "nexusctl network status" });
  }
}
