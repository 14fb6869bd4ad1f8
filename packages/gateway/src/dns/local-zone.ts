import { serviceDomain } from "@workfort/contract/network";
import { parseAddress, formatAddress } from "@workfort/core/network/ip.ts";
import type { GatewaySettings } from "@workfort/host/network/gateway-protocol.ts";
import type { Guest } from "../guest.ts";
import { answerTo, responseCode, type DnsMessage, type DnsQuestion } from "./message.ts";
import { nameBytes } from "./name.ts";
import { addressRecord, internetClass, recordType, type DnsRecord } from "./record.ts";

/** of what we answer ourselves, s: short, since a policy may change */
const ttl = 5;

/**
 * Names that are ours: `gateway.workfort.internal`, `<service>.workfort.internal` for guests whose policy names the
 * service, and the reverse of the guest's own addresses. Null for all others.
 */
export function localAnswer(query: DnsMessage, guest: Guest, settings: GatewaySettings): DnsMessage | null {
  const [question] = query.questions;
  if (question === undefined) return null;
  const name = question.name.toLowerCase();
  if (name === serviceDomain || name.endsWith(`.${serviceDomain}`)) {
    const records = forward(question, name, guest, settings);
    return records === null ? answerTo(query, responseCode.noSuchName) : local(query, records);
  }
  const address = reversed(name);
  if (address === null || guest.policy.admitsAnswer(address)) return null;
  const owner = ownerOf(address, guest, settings);
  if (owner === null) return answerTo(query, responseCode.noSuchName);
  const data = nameBytes(`${owner}.${serviceDomain}`);
  const record = { name: question.name, type: recordType.ptr, class: internetClass, ttl, data };
  return local(query, question.type === recordType.ptr ? [record] : []);
}

function local(query: DnsMessage, answers: DnsRecord[]): DnsMessage {
  return { ...answerTo(query, responseCode.noError), authoritative: true, answers };
}

/** Null where there is no such name for this guest. */
function forward(question: DnsQuestion, name: string, guest: Guest, settings: GatewaySettings): DnsRecord[] | null {
  const host = name.slice(0, -serviceDomain.length - 1);
  const known =
    host === "gateway" ||
    (guest.policy.services.has(host) && settings.services.some((service) => service.name === host));
  if (!known) return name === serviceDomain ? [] : null;
  const { ipv4, ipv6 } = settings;
  const addresses = { [recordType.a]: ipv4.gateway, [recordType.aaaa]: ipv6.gateway };
  const address = addresses[question.type as keyof typeof addresses];
  return address === undefined ? [] : [addressRecord(question.name, address, ttl)];
}

function ownerOf(address: string, guest: Guest, { ipv4, ipv6 }: GatewaySettings): string | null {
  if (guest.addresses.includes(address)) return guest.vm.name;
  return [ipv4.gateway, ipv6.gateway].some((text) => canonical(text) === address) ? "gateway" : null;
}

/** The address of which this is the name for the reverse; null for other names. */
function reversed(name: string): string | null {
  const [, digits] = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name) ?? [];
  if (digits !== undefined) return canonical(digits.split(".").slice(0, 4).toReversed().join("."));
  const [, nibbles] = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name) ?? [];
  if (nibbles === undefined) return null;
  const hex = nibbles.replaceAll(".", "").split("").toReversed().join("");
  return formatAddress({ family: 6, value: BigInt(`0x${hex}`) });
}

function canonical(text: string): string | null {
  const address = parseAddress(text);
  return address === null ? null : formatAddress(address);
}
