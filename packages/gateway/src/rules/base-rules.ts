import { resolverRanges } from "@workfort/core/network/policy.ts";
import { formatRange, mergeRanges, type AddressRange } from "@workfort/core/network/ip.ts";
import type { GatewaySettings } from "@workfort/host/network/gateway-protocol.ts";

/** ports of the gateway to which connections of guests to 80 and 443 are led */
export const httpCheckPort = 10_080;
export const tlsCheckPort = 10_443;
/** NFLOG group of what is denied; of the namespace's own */
export const logGroup = 7300;

/** Takes both tables away, whether they are there or not. */
export const removal = [
  "add table bridge workfort",
  "delete table bridge workfort",
  "add table inet workfort",
  "delete table inet workfort",
  "",
].join("\n");

/**
 * The tables without any guest: everything is closed, and each guest is one element of some verdict maps, which lead
 * to its own chains (guest-rules.ts). What a guest costs does not depend on how many there are.
 *
 * - `bridge`: what a tap sends must come from its guest (anti-spoofing), is bounded and counted; nothing passes from
 *   one tap to another.
 * - `inet`: what leaves the bridge or asks the gateway is judged by the guest's chains; all else is dropped.
 */
export function baseRules(settings: GatewaySettings, closed: readonly AddressRange[]): string {
  const { bridge, ipv4, ipv6 } = settings;
  return `
table bridge workfort {
  map from { type ifname : verdict; }
  map to { type ifname : verdict; }
  chain prerouting {
    type filter hook prerouting priority -300; policy drop;
    iifname vmap @from
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
  chain postrouting {
    type filter hook postrouting priority 0; policy accept;
    oifname vmap @to
  }
}
table inet workfort {
${addressSet("closed", 4, closed)}
${addressSet("closed", 6, closed)}
${addressSet("resolvers", 4, resolverRanges)}
${addressSet("resolvers", 6, resolverRanges)}
${["out", "back", "asks", "web"].map((name) => `  map ${name}4 { type ipv4_addr : verdict; }\n  map ${name}6 { type ipv6_addr : verdict; }`).join("\n")}
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${bridge}" ip saddr vmap @web4
    iifname "${bridge}" ip6 saddr vmap @web6
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname != "${bridge}" goto outside
    ct state invalid drop
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    fib daddr type { broadcast, multicast } drop
    ip daddr ${ipv4.gateway} icmp type echo-request limit rate 200/second burst 200 packets accept
    ip6 daddr ${ipv6.gateway} icmpv6 type echo-request limit rate 200/second burst 200 packets accept
    ip saddr vmap @asks4
    ip6 saddr vmap @asks6
  }
  chain outside {
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state invalid drop
    iifname "${bridge}" ip saddr vmap @out4
    iifname "${bridge}" ip6 saddr vmap @out6
    iifname "${bridge}" drop
    oifname "${bridge}" ct state established,related ip daddr vmap @back4
    oifname "${bridge}" ct state established,related ip6 daddr vmap @back6
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${ipv4.subnet} oifname != "${bridge}" masquerade
    ip6 saddr ${ipv6.subnet} oifname != "${bridge}" masquerade
  }
}
`;
}

function addressSet(name: string, family: 4 | 6, ranges: readonly AddressRange[]): string {
  const own = mergeRanges(ranges.filter((range) => range.family === family)).map(formatRange);
  const elements = own.length === 0 ? "" : `elements = { ${own.join(", ")} }`;
  return `  set ${name}${family} {\n    type ipv${family}_addr; flags interval;\n    ${elements}\n  }`;
}
