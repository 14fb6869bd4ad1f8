import { WorkfortError } from "@workfort/contract/errors";
import type { AddressRange } from "./ip.ts";
import { mergePorts, subtractPorts, type PortRange } from "./ports.ts";

/** addresses and the ports on which they are open */
export interface OpenedRange {
  range: AddressRange;
  ports: PortRange[];
}

/** most elements that a policy's sets may have; nothing that people write comes near it */
const maxElements = 65_536;

/**
 * The same addresses and ports without overlaps, which sets of nft cannot have: since ranges are those of prefixes, two
 * of them are apart or one is within the other, and it is enough to take from the smaller what the larger has.
 */
export function disjointRanges(
  entries: readonly { range: AddressRange; ports: readonly PortRange[] }[],
): OpenedRange[] {
  const byRange = new Map<string, OpenedRange>();
  for (const { range, ports } of entries) {
    const key = keyOf(range);
    byRange.set(key, { range, ports: mergePorts([...(byRange.get(key)?.ports ?? []), ...ports]) });
  }
  let elements = 0;
  const opened = [...byRange.values()].flatMap(({ range, ports }) => {
    const taken = around(range).flatMap((larger) => byRange.get(keyOf(larger))?.ports ?? []);
    const left = subtractPorts(ports, mergePorts(taken));
    elements += left.length;
    if (elements > maxElements)
      throw new WorkfortError("invalid_request", "allow: the ports of its nested ranges are too many combinations", {
        hint: "name wider ranges of ports or fewer nested ranges of addresses",
      });
    return left.length === 0 ? [] : [{ range, ports: left }];
  });
  return opened;
}

function keyOf({ family, first, last }: AddressRange): string {
  return `${family} ${first} ${last}`;
}

/** The ranges of shorter prefixes that hold this one, the next larger first. */
function around({ family, first, last }: AddressRange): AddressRange[] {
  const whole = 1n << (family === 4 ? 32n : 128n);
  const larger: AddressRange[] = [];
  for (let size = (last - first + 1n) * 2n; size <= whole; size *= 2n) {
    const start = (first / size) * size;
    larger.push({ family, first: start, last: start + size - 1n });
  }
  return larger;
}
