import { connect, type LookupFunction, type Socket } from "node:net";
import { parseAddress } from "@workfort/core/network/ip.ts";
import type { CompiledPolicy } from "@workfort/core/network/policy.ts";
import { internetClass, addressOf, recordType } from "../dns/record.ts";
import type { Resolver } from "../dns/resolver.ts";
import type { Guest } from "../guest.ts";

const connectMs = 15_000;
/** before the next address is tried */
const attemptMs = 2_000;
const maxAddresses = 8;

/** Why a connection could not be made, as the guest may know it. */
export class TargetError extends Error {
  override readonly name = "TargetError";
  /** whether it is the policy that does not want it */
  readonly denied: boolean;

  constructor(message: string, options: { denied: boolean }) {
    super(message);
    this.denied = options.denied;
  }
}

/** Whether a host, as Host or SNI spell it, may be reached: an address only by an address entry. */
export function allowsHost(policy: CompiledPolicy, host: string, port: number): boolean {
  return parseAddress(host) === null ? policy.allowsName(host, port, "tcp") : policy.allowsAddress(host, port, "tcp");
}

/** Connects a guest to where a host's name leads by our own DNS; where the guest wanted to go does not count. */
export async function connectTo(host: string, port: number, guest: Guest, resolver: Resolver): Promise<Socket> {
  const addresses = parseAddress(host) === null ? await resolveFor(host, port, guest, resolver) : [host];
  const lookup: LookupFunction = (_, __, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  const socket = connect({
    host: "of-our-own-dns.invalid",
    port,
    lookup,
    allowHalfOpen: true,
    noDelay: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptMs,
  });
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const timer = setTimeout(() => socket.destroy(new Error("it does not answer")), connectMs);
  socket.once("connect", () => resolve(socket));
  socket.on("error", (error) =>
    reject(new TargetError(`${host}:${port} cannot be reached: ${error.message}`, { denied: false })),
  );
  socket.once("close", () => reject(new TargetError(`${host}:${port} cannot be reached`, { denied: false })));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

async function resolveFor(name: string, port: number, guest: Guest, resolver: Resolver): Promise<string[]> {
  const ask = async (type: number): Promise<string[]> => {
    const question = { name: name.replace(/\.$/, ""), type, class: internetClass };
    const { answers } = await resolver.resolve(question, { dnssec: false, checkingDisabled: false }, guest.lookUps);
    return answers.flatMap((record) => addressOf(record) ?? []);
  };
  const [ipv4, ipv6] = await Promise.allSettled([ask(recordType.a), ask(recordType.aaaa)]);
  const found = [ipv4, ipv6].flatMap((asked) => (asked.status === "fulfilled" ? asked.value : []));
  if (found.length === 0) throw new TargetError(`${name} has no address`, { denied: false });
  const open = found.filter((address) => guest.policy.admitsTarget(address, port));
  if (open.length === 0) throw new TargetError(`${name} leads to an address that is closed`, { denied: true });
  return open.slice(0, maxAddresses);
}
