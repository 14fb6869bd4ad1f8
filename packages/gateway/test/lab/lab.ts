import { randomBytes } from "node:crypto";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPolicy, type NetworkPolicy } from "@workfort/contract";
import { addressesOf, macAddressOf, tapOf } from "@workfort/core/network/addresses.ts";
import type { GatewayState, GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { GatewayProcess } from "./gateway-process.ts";
import { Namespace } from "./namespace.ts";

const subnets = { ipv4: "10.213.0.0/16", ipv6: "fd5f:2113:61c5::/64" };

/** addresses of the lab's internet */
export const internet = {
  ipv4: "203.0.113.1",
  ipv6: "2001:db8:113::1",
  /** where web servers are */
  web: ["198.51.100.10", "198.51.100.11"] as const,
  web6: "2001:db8:100::10",
  /** not for guests, though it could be reached */
  private: "192.168.77.1",
  metadata: "169.254.169.254",
  private6: "fd99::1",
} as const;

/** addresses of the workplace's namespace in it */
const uplink = { ipv4: "203.0.113.2", ipv6: "2001:db8:113::2" } as const;

/**
 * A workplace, guests and an internet, each a network namespace. A guest has one end of a veth pair; the other one is
 * in the workplace under the name of its tap.
 */
export class Lab {
  readonly workplace: Namespace;
  readonly internet: Namespace;
  readonly state: GatewayState;
  readonly #directory: string;
  readonly #tag: string;
  readonly #guests: Namespace[] = [];
  gateway: GatewayProcess;

  private constructor(parts: {
    workplace: Namespace;
    internet: Namespace;
    directory: string;
    tag: string;
    gateway: GatewayProcess;
  }) {
    this.workplace = parts.workplace;
    this.internet = parts.internet;
    this.#directory = parts.directory;
    this.#tag = parts.tag;
    this.gateway = parts.gateway;
    const gateway = addressesOf(subnets, 1);
    this.state = {
      bridge: "nexbr0",
      ipv4: { subnet: subnets.ipv4, gateway: gateway.ipv4, prefixLength: 16 },
      ipv6: { subnet: subnets.ipv6, gateway: gateway.ipv6, prefixLength: 64 },
      mtu: 1500,
      dnsServers: [internet.ipv4],
      hostAddresses: [uplink.ipv4, uplink.ipv6],
      services: [],
      tapOwner: 0,
      vms: [],
    };
  }

  static async make(): Promise<Lab> {
    const tag = randomBytes(3).toString("hex");
    const workplace = new Namespace(`wf${tag}w`);
    const outside = new Namespace(`wf${tag}i`);
    await workplace.make();
    await outside.make();
    await workplace.ip(`link add up0 type veth peer name down0 netns ${outside.name}`);
    await outside.ip(
      `addr add ${internet.ipv4}/24 dev down0`,
      `addr add ${internet.ipv6}/64 dev down0 nodad`,
      ...[...internet.web, internet.private, internet.metadata].map((address) => `addr add ${address}/32 dev lo`),
      ...[internet.web6, internet.private6].map((address) => `addr add ${address}/128 dev lo nodad`),
      "link set dev down0 up",
    );
    await workplace.ip(
      `addr add ${uplink.ipv4}/24 dev up0`,
      `addr add ${uplink.ipv6}/64 dev up0 nodad`,
      "link set dev up0 up",
      `route add default via ${internet.ipv4}`,
      `route add ::/0 via ${internet.ipv6}`,
    );
    const directory = await fs.mkdtemp(join(tmpdir(), "gateway-"));
    const gateway = await GatewayProcess.start(workplace.path, directory);
    return new Lab({ workplace, internet: outside, directory, tag, gateway });
  }

  /** Puts the state, as far as it has changed. */
  async put(change: Partial<GatewayState> = {}): Promise<void> {
    Object.assign(this.state, change);
    await this.gateway.call("PUT", "/v1/state", this.state);
  }

  async startGateway(): Promise<void> {
    this.gateway = await GatewayProcess.start(this.workplace.path, this.#directory);
  }

  /** A path for a socket of the test's own. */
  socket(name: string): string {
    return join(this.#directory, name);
  }

  /** A guest with its interface, known to the gateway. */
  async guest(policy: Partial<NetworkPolicy> = {}): Promise<{ vm: GatewayVm; inside: Namespace }> {
    const number = this.#guests.length + 2;
    const vm = this.vm(number, policy);
    const inside = new Namespace(`wf${this.#tag}g${number}`);
    this.#guests.push(inside);
    await inside.make();
    await this.workplace.ip(`link add ${vm.tap} type veth peer name eth0 netns ${inside.name}`);
    await inside.ip(`link set dev eth0 address ${vm.macAddress}`);
    await this.gateway.call("PUT", `/v1/vms/${vm.id}`, vm);
    await inside.ip(
      "link set dev eth0 up", // as with a VM, which sends nothing before its tap is known
      `addr add ${vm.ipv4}/16 dev eth0`,
      `addr add ${vm.ipv6}/64 dev eth0 nodad`,
      `route add default via ${this.state.ipv4.gateway}`,
      `route add ::/0 via ${this.state.ipv6.gateway}`,
    );
    this.state.vms.push(vm);
    return { vm, inside };
  }

  /** A VM that has no namespace: its tap is a real one. */
  vm(number: number, policy: Partial<NetworkPolicy> = {}): GatewayVm {
    const letters = "abcdefghijklmnopqrstuvwxyz234567";
    const id = `vm_${[5, 4, 3, 2, 1, 0].map((place) => letters[Math.floor(number / 32 ** place) % 32]).join("")}guests`;
    return {
      id,
      name: `guest-${number}`,
      number,
      tap: tapOf(id),
      macAddress: macAddressOf(id),
      ...addressesOf(subnets, number),
      policy: { ...openPolicy, ...policy },
    };
  }

  async policy(vm: GatewayVm, policy: Partial<NetworkPolicy>): Promise<void> {
    vm.policy = { ...openPolicy, ...policy };
    await this.gateway.call("PUT", `/v1/vms/${vm.id}/policy`, vm.policy);
  }

  async remove(): Promise<void> {
    await this.gateway.stop();
    for (const namespace of [...this.#guests, this.workplace, this.internet]) await namespace.remove();
    await fs.rm(this.#directory, { recursive: true, force: true });
  }
}
