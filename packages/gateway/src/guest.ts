import { formatAddress, parseAddress, type AddressRange } from "@workfort/core/network/ip.ts";
import { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { AnsweredNames } from "./dns/answered-names.ts";
import { nameElements } from "./rules/guest-rules.ts";
import { TokenBucket } from "./token-bucket.ts";

/** connections through the gateway that a guest may have at once */
const maxConnections = 1024;
/** questions to our DNS: per second, and of these at once */
const queriesPerSecond = 300;
const queryBurst = 600;

/** a connection that goes through the gateway */
export interface LivingConnection {
  /** whether the policy still lets it through */
  allowed(policy: CompiledPolicy): boolean;
  end(): void;
}

/** A VM as the gateway knows it: its policy, what it was told, and what it has open. */
export class Guest {
  readonly answered = new AnsweredNames();
  readonly queries = new TokenBucket(queriesPerSecond, queryBurst);
  readonly #connections = new Set<LivingConnection>();
  vm: GatewayVm;
  policy: CompiledPolicy;
  /** names, requests and hellos that were refused here */
  deniedHere = 0;
  /** questions that wait for an answer */
  asking = 0;

  constructor(vm: GatewayVm, closed: readonly AddressRange[]) {
    this.vm = vm;
    this.policy = new CompiledPolicy(vm.policy, closed);
  }

  /** Of both families, spelled as the kernel does. */
  get addresses(): string[] {
    return [this.vm.ipv4, this.vm.ipv6].map((text) => {
      const address = parseAddress(text);
      return address === null ? text : formatAddress(address);
    });
  }

  /** From now on this holds; connections that it does not allow end. */
  become(vm: GatewayVm, policy: CompiledPolicy): void {
    this.vm = vm;
    this.policy = policy;
    for (const connection of this.#connections) if (!connection.allowed(policy)) connection.end();
  }

  /** Takes a connection in; false where there are too many. */
  admit(connection: LivingConnection): boolean {
    if (this.#connections.size >= maxConnections) return false;
    this.#connections.add(connection);
    return true;
  }

  release(connection: LivingConnection): void {
    this.#connections.delete(connection);
  }

  endConnections(): void {
    for (const connection of this.#connections) connection.end();
  }

  /** The addresses that a policy opens because names have led to them, as elements of this guest's sets. */
  fed(policy: CompiledPolicy): string {
    return this.answered
      .pairs()
      .map(({ name, address, seconds }) => nameElements(this.vm.number, [address], policy.directPorts(name), seconds))
      .filter((text) => text !== "")
      .join("\n");
  }
}
