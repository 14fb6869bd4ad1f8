import { WorkfortError, type NetworkLeftover, type NetworkStatus } from "@workfort/contract";
import type { AttachedNetwork, Network, Subnets } from "@workfort/core";

/** What stands in where guests have no network: every start goes on without an interface. */
export class NoNetwork implements Network {
  readonly #subnets: Subnets;

  constructor(needs: { subnets: Subnets }) {
    this.#subnets = needs.subnets;
  }

  status(): Promise<NetworkStatus> {
    return Promise.resolve({
      mode: "off",
      way: null,
      usable: false,
      reason: "it is off",
      hint: null,
      bridge: "nexbr0",
      ipv4Subnet: this.#subnets.ipv4,
      ipv6Subnet: this.#subnets.ipv6,
      dnsServers: [],
      gatewayPid: null,
      attachedCount: 0,
    });
  }

  async attach(): Promise<AttachedNetwork> {
    const { reason, hint } = await this.status();
    throw new WorkfortError("network_unavailable", reason, { hint: hint ?? undefined });
  }

  detach(): Promise<void> {
    return Promise.resolve();
  }

  setPolicy(): Promise<void> {
    return Promise.resolve();
  }

  setServices(): Promise<void> {
    return Promise.resolve();
  }

  counters(): Promise<null> {
    return Promise.resolve(null);
  }

  async *denials(): AsyncGenerator<never> {
    // nothing is wanted where there is nothing
  }

  recover(): Promise<void> {
    return Promise.resolve();
  }

  reconcile(): Promise<NetworkLeftover[]> {
    return Promise.resolve([]);
  }

  reset(): Promise<NetworkLeftover[]> {
    return Promise.resolve([]);
  }

  close(): void {}
}
