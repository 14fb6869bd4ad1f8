import { formatAddress, parseAddress } from "@workfort/core/network/ip.ts";
import type { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { AnsweredNames } from "./dns/answered-names.ts";
import type { OpenAddress } from "./rules/guest-elements.ts";
import { OpenAddresses } from "./rules/open-addresses.ts";
import { TokenBucket } from "./token-bucket.ts";

/** connections through the gateway that a guest may have at once */
const maxConnections = 1024;
/** questions to our DNS: per second, and of these at once; what is over that is dropped as it comes */
const queriesPerSecond = 2000;
const queryBurst = 2000;
/** of these, questions that are passed on to a server because their answer is not held */
const lookUpsPerSecond = 300;
const lookUpBurst = 600;

/** a connection that goes through the gateway */
export interface LivingConnection {
  /** whether the policy still lets it through */
  allowed(policy: CompiledPolicy): boolean;
  end(): void;
}

/** A VM as the gateway knows it: its policy, what it was told, and what it has open. */
export class Guest {
  readonly answered = new AnsweredNames();
  readonly open = new OpenAddresses();
  readonly queries = new TokenBucket(queriesPerSecond, queryBurst);
  readonly lookUps = new TokenBucket(lookUpsPerSecond, lookUpBurst);
  readonly #connections = new Set<LivingConnection>();
  vm: GatewayVm;
  policy: CompiledPolicy;
  /** names, requests and hellos that were refused here */
  deniedHere = 0;
  /** questions that wait for an answer */
  asking = 0;

  constructor(vm: GatewayVm, policy: CompiledPolicy) {
    this.vm = vm;
    this.policy = policy;
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

  /** The addresses that the policy opens because names have led to them. */
  toOpen(): OpenAddress[] {
    const opened = this.answered
      .pairs()
      .flatMap(({ name, address, seconds }) =>
        this.policy.directPlaces(name).map((place) => ({ address, place, seconds })),
      );
    return this.open.missing(opened) ?? [];
  }
}
