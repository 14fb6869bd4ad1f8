import { ipv6Bytes } from "../internet/world/dns-message.ts";

/** Frames as a hostile guest makes them. */

const etherTypes = { ipv4: 0x08_00, arp: 0x08_06, ipv6: 0x86_dd } as const;

export const broadcast = "ff:ff:ff:ff:ff:ff";

export interface Ipv4Fields {
  from: string;
  to: string;
  protocol: number;
  payload: Uint8Array;
  id?: number;
  /** in bytes, a multiple of 8 */
  offset?: number;
  moreFragments?: boolean;
}

export function ethernet(from: string, to: string, kind: keyof typeof etherTypes, payload: Uint8Array): Buffer {
  return Buffer.concat([macBytes(to), macBytes(from), word(etherTypes[kind]), payload]);
}

export function ipv4(fields: Ipv4Fields): Buffer {
  const { from, to, protocol, payload, id = 1, offset = 0, moreFragments = false } = fields;
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(id, 4);
  header.writeUInt16BE((moreFragments ? 0x20_00 : 0) | (offset / 8), 6);
  header[8] = 64;
  header[9] = protocol;
  header.set(ipv4Bytes(from), 12);
  header.set(ipv4Bytes(to), 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

export function ipv6(from: string, to: string, nextHeader: number, payload: Uint8Array, hopLimit = 64): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header[6] = nextHeader;
  header[7] = hopLimit;
  return Buffer.concat([header.subarray(0, 8), ipv6Bytes(from), ipv6Bytes(to), payload]);
}

/** A datagram; over IPv4 it needs no checksum, over IPv6 give both addresses. */
export function udpDatagram(port: number, text: string, ipv6Addresses?: { from: string; to: string }): Buffer {
  const data = Buffer.from(text);
  const header = Buffer.concat([word(40_000), word(port), word(8 + data.length), word(0)]);
  const whole = Buffer.concat([header, data]);
  if (ipv6Addresses !== undefined) whole.writeUInt16BE(checksum6(ipv6Addresses, 17, whole), 6);
  return whole;
}

/** The first packet of a TCP connection. */
export function tcpSyn(addresses: { from: string; to: string }, port: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(40_001, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt32BE(12_345, 4);
  header[12] = 0x50;
  header[13] = 0x02;
  header.writeUInt16BE(0xff_ff, 14);
  const pseudo = Buffer.concat([ipv4Bytes(addresses.from), ipv4Bytes(addresses.to), word(6), word(header.length)]);
  header.writeUInt16BE(checksum(Buffer.concat([pseudo, header])), 16);
  return header;
}

export function arp(
  operation: "request" | "reply",
  sender: { mac: string; ipv4: string },
  target: { mac: string; ipv4: string },
): Buffer {
  const fixed = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation === "request" ? 1 : 2]);
  return Buffer.concat([
    fixed,
    macBytes(sender.mac),
    ipv4Bytes(sender.ipv4),
    macBytes(target.mac),
    ipv4Bytes(target.ipv4),
  ]);
}

/** A neighbour advertisement that says: this address is at this MAC. */
export function neighbourAdvertisement(from: string, to: string, address: string, mac: string): Buffer {
  const body = Buffer.concat([
    Buffer.from([136, 0, 0, 0, 0x60, 0, 0, 0]),
    ipv6Bytes(address),
    Buffer.from([2, 1]),
    macBytes(mac),
  ]);
  body.writeUInt16BE(checksum6({ from, to }, 58, body), 2);
  return ipv6(from, to, 58, body, 255);
}

/** A router advertisement that makes its sender everybody's way out (RFC 4861, section 4.2). */
export function routerAdvertisement(from: string): Buffer {
  const body = Buffer.from([134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]);
  body.writeUInt16BE(checksum6({ from, to: "ff02::1" }, 58, body), 2);
  return ipv6(from, "ff02::1", 58, body, 255);
}

/** The same bytes in pieces of at most `size`, each in a packet of its own. */
export function fragments(fields: Ipv4Fields, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let offset = 0; offset < fields.payload.length; offset += size)
    pieces.push(
      ipv4({
        ...fields,
        payload: fields.payload.subarray(offset, offset + size),
        offset,
        moreFragments: offset + size < fields.payload.length,
      }),
    );
  return pieces;
}

export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(":", ""), "hex");
export const ipv4Bytes = (address: string): Buffer => Buffer.from(address.split(".").map(Number));

function word(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function checksum6({ from, to }: { from: string; to: string }, nextHeader: number, payload: Buffer): number {
  const lengths = Buffer.from([0, 0, 0, payload.length, 0, 0, 0, nextHeader]);
  return checksum(Buffer.concat([ipv6Bytes(from), ipv6Bytes(to), lengths, payload]));
}

/** of the Internet (RFC 1071) */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xff_ff) sum = (sum & 0xff_ff) + (sum >> 16);
  return ~sum & 0xff_ff;
}
