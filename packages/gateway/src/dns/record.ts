import { formatAddress, parseAddress } from "@workfort/core/network/ip.ts";
import { DnsFormatError, nameBytes, readName } from "./name.ts";

/** the types that are more than bytes here */
export const recordType = {
  a: 1,
  ns: 2,
  cname: 5,
  soa: 6,
  ptr: 12,
  mx: 15,
  aaaa: 28,
  srv: 33,
  opt: 41,
  svcb: 64,
  https: 65,
  any: 255,
} as const;

export const internetClass = 1;

/** a record; whatever names its data has are not compressed */
export interface DnsRecord {
  name: string;
  type: number;
  class: number;
  ttl: number;
  data: Buffer;
}

/** where the data of a type has names, that may be compressed (RFC 1035, 3597): fixed bytes before, names, bytes behind */
const namesIn: Record<number, { before: number; names: number }> = {
  [recordType.ns]: { before: 0, names: 1 },
  3: { before: 0, names: 1 }, // MD
  4: { before: 0, names: 1 }, // MF
  [recordType.cname]: { before: 0, names: 1 },
  [recordType.soa]: { before: 0, names: 2 },
  7: { before: 0, names: 1 }, // MB
  8: { before: 0, names: 1 }, // MG
  9: { before: 0, names: 1 }, // MR
  [recordType.ptr]: { before: 0, names: 1 },
  14: { before: 0, names: 2 }, // MINFO
  [recordType.mx]: { before: 2, names: 1 },
  17: { before: 0, names: 2 }, // RP
  18: { before: 2, names: 1 }, // AFSDB
  21: { before: 2, names: 1 }, // RT
  26: { before: 2, names: 2 }, // PX
  [recordType.srv]: { before: 6, names: 1 },
  39: { before: 0, names: 1 }, // DNAME
};

export function readRecord(message: Buffer, at: number): { record: DnsRecord; end: number } {
  const { name, end: fixed } = readName(message, at);
  if (fixed + 10 > message.length) throw new DnsFormatError("a record is cut off");
  const type = message.readUInt16BE(fixed);
  const start = fixed + 10;
  const end = start + message.readUInt16BE(fixed + 8);
  if (end > message.length) throw new DnsFormatError("a record's data is cut off");
  const record = {
    name,
    type,
    class: message.readUInt16BE(fixed + 2),
    ttl: message.readUInt32BE(fixed + 4),
    data: readData(message, type, start, end),
  };
  return { record, end };
}

function readData(message: Buffer, type: number, start: number, end: number): Buffer {
  const layout = namesIn[type];
  if (layout === undefined) return Buffer.from(message.subarray(start, end));
  if (start + layout.before > end) throw new DnsFormatError("a record's data is cut off");
  const parts = [message.subarray(start, start + layout.before)];
  let at = start + layout.before;
  for (let count = 0; count < layout.names; count += 1) {
    const { name, end: next } = readName(message, at);
    if (next > end) throw new DnsFormatError("a name reaches beyond its record");
    parts.push(nameBytes(name));
    at = next;
  }
  return Buffer.concat([...parts, message.subarray(at, end)]);
}

/** The name that a record of CNAME, PTR or NS leads to. */
export function targetOf(record: DnsRecord): string {
  return readName(record.data, 0).name;
}

/** The address in a record of A or AAAA; null for others, and for what is no address. */
export function addressOf({ type, data }: DnsRecord): string | null {
  if (type === recordType.a && data.length === 4) return data.join(".");
  if (type !== recordType.aaaa || data.length !== 16) return null;
  return formatAddress({ family: 6, value: BigInt(`0x${data.toString("hex")}`) });
}

export function addressRecord(name: string, address: string, ttl: number): DnsRecord {
  const ipv6 = address.includes(":");
  const value = parseAddress(address)?.value ?? 0n;
  const data = Buffer.from(value.toString(16).padStart(ipv6 ? 32 : 8, "0"), "hex");
  return { name, type: ipv6 ? recordType.aaaa : recordType.a, class: internetClass, ttl, data };
}
