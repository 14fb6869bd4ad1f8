/** Addresses of both families as numbers, so that ranges can be compared. */

export interface Address {
  family: 4 | 6;
  value: bigint;
}

/** a run of addresses, both ends within it */
export interface AddressRange {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

const widths = { 4: 32, 6: 128 } as const;

/** The address, if this is the plain spelling of one: no octal or hexadecimal parts, no shortened IPv4, no zone. */
export function parseAddress(text: string): Address | null {
  const value = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  return value === null ? null : { family: text.includes(":") ? 6 : 4, value };
}

/** `address` or `address/length`; what lies behind the length is cut off, as routers do. */
export function parseRange(text: string): AddressRange | null {
  const [before = "", length, ...more] = text.split("/");
  const address = parseAddress(before);
  if (address === null || more.length > 0) return null;
  const width = widths[address.family];
  if (length === undefined) return { family: address.family, first: address.value, last: address.value };
  if (!/^(?:0|[1-9]\d{0,2})$/.test(length) || Number(length) > width) return null;
  const size = 1n << BigInt(width - Number(length));
  const first = (address.value / size) * size;
  return { family: address.family, first, last: first + size - 1n };
}

export function contains(range: AddressRange, address: Address): boolean {
  return range.family === address.family && range.first <= address.value && address.value <= range.last;
}

/** The same addresses in as few ranges as there can be, in order. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.family - b.family || compare(a.first, b.first))) {
    const before = merged.at(-1);
    if (before !== undefined && before.family === range.family && range.first <= before.last + 1n) {
      if (range.last > before.last) before.last = range.last;
    } else merged.push({ ...range });
  }
  return merged;
}

export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  const { start, length } = longestZeros(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** `first-last`, or the address alone: as nft takes it. */
export function formatRange({ family, first, last }: AddressRange): string {
  const start = formatAddress({ family, value: first });
  return first === last ? start : `${start}-${formatAddress({ family, value: last })}`;
}

function parseIpv4(text: string): bigint | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    value = value * 256n + BigInt(part);
  }
  return value;
}

function parseIpv6(text: string): bigint | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [before, after] = halves.map((half) => (half === "" ? [] : groupsOf(half)));
  if (before === null || after === null || before === undefined) return null;
  if (after === undefined) return before.length === 8 ? joinGroups(before) : null;
  const missing = 8 - before.length - after.length;
  if (missing < 1 || (halves[0] ?? "").includes(".")) return null;
  return joinGroups([...before, ...Array.from({ length: missing }, () => 0), ...after]);
}

/** Of one side of `::`; an IPv4 address may be its end. */
function groupsOf(half: string): number[] | null {
  const parts = half.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const ipv4 = index === parts.length - 1 ? parseIpv4(part) : null;
      if (ipv4 === null) return null;
      groups.push(Number(ipv4 >> 16n), Number(ipv4 & 0xffffn));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

function joinGroups(groups: readonly number[]): bigint | null {
  return groups.length === 8 ? groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n) : null;
}

function longestZeros(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    let length = 0;
    while (groups[start + length] === "0") length += 1;
    if (length > best.length) best = { start, length };
  }
  return best;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}
