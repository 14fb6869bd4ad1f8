import { isIPv4, isIPv6 } from "node:net";
import { prefixLength, type Subnets } from "./addresses.ts";

/** What can be a subnet of guests, and which subnets are in force. */
const largestIpv4 = 16;
const smallestIpv4 = 28;

/** what no router passes on (RFC 1918), as prefix and first address */
const privateBlocks = [
  { prefix: 8, base: 10 * 2 ** 24 },
  { prefix: 12, base: 172 * 2 ** 24 + 16 * 2 ** 16 },
  { prefix: 16, base: 192 * 2 ** 24 + 168 * 2 ** 16 },
];

export const ipv4SubnetAllowed = `must be a private IPv4 subnet from /${largestIpv4} to /${smallestIpv4} with nothing behind its prefix, such as 10.213.0.0/16`;

export function isIpv4Subnet(text: string): boolean {
  const [, address = "", prefix = ""] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  const length = Number(prefix);
  if (!isIPv4(address) || length < largestIpv4 || length > smallestIpv4) return false;
  const base = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const isAligned = base % 2 ** (32 - length) === 0;
  return isAligned && privateBlocks.some((block) => Math.floor((base - block.base) / 2 ** (32 - block.prefix)) === 0);
}

export const ipv6SubnetAllowed =
  "must be a unique local IPv6 subnet of /64 with nothing behind its prefix, such as fd5f:2113:61c5::/64";

export function isIpv6Subnet(text: string): boolean {
  const address = /^([0-9a-fA-F:]+)\/64$/.exec(text)?.[1];
  if (address === undefined || !isIPv6(address)) return false;
  // with a zero as the fourth group, the shortest spelling of a /64 ends in its only "::"
  return /^f[cd][0-9a-f]{2}(:[0-9a-f]{1,4}){0,3}::$/.test(shortest(address));
}

/** A subnet of `isIpv6Subnet` in its shortest spelling (RFC 5952), which guests' addresses are made from. */
export function canonicalIpv6Subnet(text: string): string {
  return `${shortest(text.slice(0, text.indexOf("/")))}/${prefixLength(text)}`;
}

function shortest(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/**
 * The subnets that guests are in. A guest that runs keeps its addresses, and all are in the same subnets: others than
 * those of the records wait for a daemon that starts while no VM with an interface runs.
 */
export function subnetsInForce(
  configured: Subnets,
  recorded: Subnets | null,
  isAnyLive: boolean,
): { subnets: Subnets; notice: string | null } {
  const isSame = recorded === null || (recorded.ipv4 === configured.ipv4 && recorded.ipv6 === configured.ipv6);
  if (isSame || !isAnyLive) return { subnets: configured, notice: null };
  return {
    subnets: recorded,
    notice: `Guests stay in ${recorded.ipv4} and ${recorded.ipv6}, since some were running when this daemon started; ${configured.ipv4} and ${configured.ipv6} of nexus.yaml come with the first start of nexusd at which none is.`,
  };
}
