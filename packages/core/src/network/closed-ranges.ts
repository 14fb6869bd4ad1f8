import { mergeRanges, parseRange, type AddressRange } from "./ip.ts";

/**
 * What no guest reaches unless an address entry of its policy names it: whatever is not the public internet, and the
 * host itself. Ranges for documentation are not among them: nobody has them, and tests live there.
 */
const reserved = [
  "0.0.0.0/8", // this network (RFC 791)
  "10.0.0.0/8", // private (RFC 1918)
  "100.64.0.0/10", // between carriers and their customers (RFC 6598)
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local, and the metadata service of clouds
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments (RFC 6890)
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarks (RFC 2544)
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
  "::/128", // unspecified
  "::1/128", // loopback
  "::ffff:0:0/96", // IPv4 in disguise (RFC 4291)
  "64:ff9b::/96", // NAT64 leads to any IPv4 address (RFC 6052)
  "64:ff9b:1::/48", // the same, local (RFC 8215)
  "2001::/32", // Teredo (RFC 4380)
  "2002::/16", // 6to4 (RFC 3056)
  "fc00::/7", // unique local, and fd00:ec2::254, the metadata service
  "fe80::/10", // link-local
  "ff00::/8", // multicast
];

/** The closed ranges of a host: its own addresses and the guests' subnets, too; disjoint and in order. */
export function closedRanges(own: readonly string[]): AddressRange[] {
  return mergeRanges([...reserved, ...own].flatMap((text) => parseRange(text) ?? []));
}
