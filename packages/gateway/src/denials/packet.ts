import type { Denial } from "@workfort/contract";
import { formatAddress } from "@workfort/core/network/ip.ts";

/** what is told of a packet */
export interface PacketEnds {
  source: string;
  destination: string;
  port: number | null;
  protocol: NonNullable<Denial["protocol"]>;
}

const etherTypes = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const tcp = 6;
const udp = 17;
const icmp: ReadonlySet<number> = new Set([1, 58]);
/** headers that may stand before the one that has ports (RFC 8200) */
const extensions: ReadonlySet<number> = new Set([0, 43, 60]);
const fragment = 44;

/** Reads the beginning of a packet, that a guest has made; null for what is none of ours. */
export function endsOf(etherType: number, bytes: Buffer): PacketEnds | null {
  if (etherType === etherTypes.ipv4) return ofIpv4(bytes);
  if (etherType === etherTypes.ipv6) return ofIpv6(bytes);
  if (etherType === etherTypes.arp && bytes.length >= 28)
    return { source: ipv4(bytes, 14), destination: ipv4(bytes, 24), port: null, protocol: "other" };
  return null;
}

function ofIpv4(bytes: Buffer): PacketEnds | null {
  if (bytes.length < 20) return null;
  const first = (bytes.readUInt16BE(6) & 0x1fff) === 0; // only the first fragment has ports
  const { protocol, port } = transport(bytes[9] ?? 0, first ? bytes.subarray(((bytes[0] ?? 0) & 15) * 4) : null);
  return { source: ipv4(bytes, 12), destination: ipv4(bytes, 16), port, protocol };
}

function ofIpv6(bytes: Buffer): PacketEnds | null {
  if (bytes.length < 40) return null;
  let next = bytes[6] ?? 0;
  let at = 40;
  let first = true;
  for (let count = 0; count < 8; count += 1) {
    if (next === fragment && at + 8 <= bytes.length) first &&= (bytes.readUInt16BE(at + 2) & 0xfff8) === 0;
    else if (!extensions.has(next) || at + 8 > bytes.length) break;
    const length = next === fragment ? 8 : ((bytes[at + 1] ?? 0) + 1) * 8;
    next = bytes[at] ?? 0;
    at += length;
  }
  const { protocol, port } = transport(next, first ? bytes.subarray(at) : null);
  return { source: ipv6(bytes, 8), destination: ipv6(bytes, 24), port, protocol };
}

function transport(number: number, header: Buffer | null): Pick<PacketEnds, "protocol" | "port"> {
  const protocol = number === tcp ? "tcp" : number === udp ? "udp" : icmp.has(number) ? "icmp" : "other";
  const hasPorts = (number === tcp || number === udp) && header !== null && header.length >= 4;
  return { protocol, port: hasPorts ? header.readUInt16BE(2) : null };
}

function ipv4(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join(".");
}

function ipv6(bytes: Buffer, at: number): string {
  return formatAddress({ family: 6, value: BigInt(`0x${bytes.subarray(at, at + 16).toString("hex")}`) });
}
