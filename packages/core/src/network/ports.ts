/** Ports of TCP and UDP as sorted ranges that do not touch. */

export type Protocol = "tcp" | "udp";

/** a run of ports of one protocol, both ends within it */
export interface PortRange {
  protocol: Protocol;
  first: number;
  last: number;
}

export const everyPort: readonly PortRange[] = [
  { protocol: "tcp", first: 0, last: 65_535 },
  { protocol: "udp", first: 0, last: 65_535 },
];

export function hasPort(ranges: readonly PortRange[], port: number, protocol: Protocol): boolean {
  return ranges.some((range) => range.protocol === protocol && range.first <= port && port <= range.last);
}

/** The same ports in as few ranges as there can be, in order. */
export function mergePorts(ranges: readonly PortRange[]): PortRange[] {
  const merged: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.protocol.localeCompare(b.protocol) || a.first - b.first)) {
    const before = merged.at(-1);
    if (before !== undefined && before.protocol === range.protocol && range.first <= before.last + 1)
      before.last = Math.max(before.last, range.last);
    else merged.push({ ...range });
  }
  return merged;
}

/** What of `ranges` is not in `taken`. */
export function subtractPorts(ranges: readonly PortRange[], taken: readonly PortRange[]): PortRange[] {
  const holes = mergePorts(taken);
  return mergePorts(ranges).flatMap((range) => {
    const left: PortRange[] = [];
    let { first } = range;
    for (const hole of holes) {
      if (hole.protocol !== range.protocol || hole.last < first || range.last < hole.first) continue;
      if (first < hole.first) left.push({ ...range, first, last: hole.first - 1 });
      first = hole.last + 1;
    }
    if (first <= range.last) left.push({ ...range, first });
    return left;
  });
}

/** Cuts ranges at one another's ends: two of what comes out are the same or have no port in common. */
export function elementaryPorts(ranges: readonly PortRange[]): PortRange[] {
  return (["tcp", "udp"] as const).flatMap((protocol) => {
    const own = ranges.filter((range) => range.protocol === protocol);
    const cuts = [...new Set(own.flatMap(({ first, last }) => [first, last + 1]))].toSorted((a, b) => a - b);
    const covered = mergePorts(own);
    return cuts
      .slice(0, -1)
      .map((first, index) => ({ protocol, first, last: (cuts[index + 1] ?? 0) - 1 }))
      .filter(({ first }) => hasPort(covered, first, protocol));
  });
}
