import type { NetworkPolicy } from "@workfort/contract";
import { disjointRanges, type OpenedRange } from "./disjoint-ranges.ts";
import { contains, parseAddress, parseRange, type Address, type AddressRange } from "./ip.ts";
import { resolverAddresses, resolverNames } from "./known-resolvers.ts";
import { parseEntries, plainName } from "./policy-entry.ts";
import { elementaryPorts, hasPort, mergePorts, subtractPorts, type PortRange, type Protocol } from "./ports.ts";

/** ports of DNS and of DNS over TLS or QUIC: of any server but ours they are closed, whatever a policy says */
export const dnsPorts: readonly number[] = [53, 853];

/** what goes through the gateway's check of Host and SNI in mode `allow` */
const checkedPorts: readonly PortRange[] = [
  { protocol: "tcp", first: 80, last: 80 },
  { protocol: "tcp", first: 443, last: 443 },
];

/** well-known resolvers that answer on port 443 */
export const resolverRanges: readonly AddressRange[] = resolverAddresses.flatMap((text) => {
  const [first = "", last] = text.split("-");
  const range = parseRange(first);
  const end = last === undefined ? null : parseAddress(last);
  return range === null ? [] : [end === null ? range : { ...range, last: end.value }];
});

/**
 * A policy, made ready for questions. It knows names, addresses and ports, and no connection; `closed` are the ranges
 * that only an address entry opens (closed-ranges.ts).
 */
export class CompiledPolicy {
  readonly mode: NetworkPolicy["mode"];
  readonly refusesEncryptedHello: boolean;
  readonly services: ReadonlySet<string>;
  /** what address entries open, such that no two have an address and port in common */
  readonly ranges: readonly OpenedRange[];
  /**
   * The ports on which names' addresses are opened by rules, because no check of ours sees them; cut so that the ports
   * of any name are some of these.
   */
  readonly directPorts: readonly PortRange[];
  readonly #exact = new Map<string, PortRange[]>();
  readonly #below = new Map<string, PortRange[]>();
  readonly #closed: readonly AddressRange[];

  constructor(policy: NetworkPolicy, closed: readonly AddressRange[]) {
    this.mode = policy.mode;
    this.refusesEncryptedHello = policy.mode === "allow" && policy.encryptedClientHello === "refuse";
    this.services = new Set(policy.services);
    this.#closed = closed;
    const entries = policy.mode === "none" ? [] : parseEntries(policy.allow);
    this.ranges = disjointRanges(entries.filter((entry) => entry.kind === "addresses"));
    for (const entry of entries) {
      if (entry.kind !== "name") continue;
      const names = entry.wildcard ? this.#below : this.#exact;
      names.set(entry.name, mergePorts([...(names.get(entry.name) ?? []), ...entry.ports]));
    }
    const named = [...this.#exact.values(), ...this.#below.values()].flatMap((ports) =>
      subtractPorts(ports, checkedPorts),
    );
    this.directPorts = elementaryPorts(named);
  }

  /** Whether anything may be asked of this name: then our DNS asks for it. */
  asksName(text: string): boolean {
    const name = plainName(text);
    if (name === null) return this.mode === "open"; // odd names are no way to a connection
    if (this.mode !== "open") return this.#portsOf(name).length > 0;
    return !resolverNames.has(name) || this.#exact.has(name);
  }

  allowsName(text: string, port: number, protocol: Protocol): boolean {
    const name = plainName(text);
    if (name === null || dnsPorts.includes(port)) return false;
    return this.mode === "open" ? this.asksName(name) : hasPort(this.#portsOf(name), port, protocol);
  }

  /** Which of `directPorts` are a name's, by their place. */
  directPlaces(text: string): number[] {
    const name = plainName(text);
    const ports = name === null || this.mode !== "allow" ? [] : this.#portsOf(name);
    return this.directPorts.flatMap(({ first, protocol }, place) => (hasPort(ports, first, protocol) ? [place] : []));
  }

  allowsAddress(text: string, port: number, protocol: Protocol): boolean {
    const address = parseAddress(text);
    if (address === null || dnsPorts.includes(port)) return false;
    if (this.#opens(address, port, protocol)) return true;
    if (this.mode !== "open" || this.#isClosed(address)) return false;
    return port !== 443 || !resolverRanges.some((range) => contains(range, address));
  }

  /** Whether an answer of DNS may hold this address: a public one, or one that an entry names. */
  admitsAnswer(text: string): boolean {
    const address = parseAddress(text);
    if (address === null) return false;
    return !this.#isClosed(address) || this.ranges.some(({ range }) => contains(range, address));
  }

  /** Whether a connection to an allowed name may go to this address, to which the name has led. */
  admitsTarget(text: string, port: number): boolean {
    const address = parseAddress(text);
    if (address === null) return false;
    return !this.#isClosed(address) || this.#opens(address, port, "tcp");
  }

  /** Why a connection to an address is not allowed, in plain words. */
  refusal(text: string, port: number | null): string {
    if (this.mode === "none") return "the policy allows nothing";
    if (port !== null && dnsPorts.includes(port)) return "DNS servers other than the workplace's own are closed";
    const address = parseAddress(text);
    if (address !== null && this.#isClosed(address))
      return "the address is private or the host's, and no entry names it";
    if (this.mode === "open") return "the address is that of a resolver over HTTPS, or of another guest";
    return "no entry of the policy allows it";
  }

  #opens(address: Address, port: number, protocol: Protocol): boolean {
    return this.ranges.some(({ range, ports }) => contains(range, address) && hasPort(ports, port, protocol));
  }

  #isClosed(address: Address): boolean {
    return this.#closed.some((range) => contains(range, address));
  }

  #portsOf(name: string): PortRange[] {
    const found = [this.#exact.get(name) ?? []];
    if (resolverNames.has(name)) return found[0] ?? []; // only who names a resolver as such means it
    for (let at = name.indexOf("."); at !== -1; at = name.indexOf(".", at + 1))
      found.push(this.#below.get(name.slice(at + 1)) ?? []);
    return found.flat();
  }
}
