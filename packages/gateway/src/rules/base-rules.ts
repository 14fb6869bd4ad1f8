import { formatRange, mergeRanges, type AddressRange } from "@workfort/core/network/ip.ts";
import { dnsPorts, resolverRanges } from "@workfort/core/network/policy.ts";
import type { GatewaySettings } from "@workfort/host/network/gateway-protocol.ts";

/** ports of the gateway to which connections of guests to 80 and 443 are led */
export const httpCheckPort = 10_080;
export const tlsCheckPort = 10_443;
/** NFLOG group of what is denied; of the namespace's own */
export const logGroup = 7300;
export const deniedPrefix = "deny";
export const forgedPrefix = "spoof";

/** connections of one guest that are not through the gateway: a bound for the namespace's table of connections */
const maxConnections = 4096;
/** of the sets that the kernel fills with what it counts per guest */
const maxGuests = 65_535;
const families = [4, 6] as const;

/** Takes both tables away, whether they are there or not. */
export const removal = [
  "add table bridge workfort",
  "delete table bridge workfort",
  "add table inet workfort",
  "delete table inet workfort",
  "",
].join("\n");

/**
 * The tables without any guest: everything is closed. A guest is some elements of these sets and maps
 * (guest-elements.ts), and two guests of the same policy share its chains (policy-rules.ts): what a guest costs does not
 * depend on how many there are.
 *
 * - `bridge`: what a tap sends must come from its guest (anti-spoofing), is bounded and counted; nothing passes from
 *   one tap to another.
 * - `inet`: what leaves the bridge is judged by the guest's policy; what asks the gateway, here; all else is dropped.
 */
export function baseRules(settings: GatewaySettings, closed: readonly AddressRange[]): string {
  return bridgeTable() + inetTable(settings, closed);
}

function bridgeTable(): string {
  return `
table bridge workfort {
  set taps { type ifname . ether_addr; }
  set sender4 { type ifname . ether_addr . ipv4_addr; }
  set sender6 { type ifname . ether_addr . ipv6_addr; }
  set sent { type ifname; counter; }
  set received { type ifname; counter; }
  set forged { type ifname; counter; }
  set sendlimits { type ifname; limit rate over 1 mbytes/second; }
  set receivelimits { type ifname; limit rate over 1 mbytes/second; }
  set told { type ifname; flags dynamic; size ${maxGuests}; timeout 1m; }
  chain prerouting {
    type filter hook prerouting priority -300; policy drop;
    iifname . ether saddr != @taps goto refuse
    iifname @sendlimits drop
    ether type ip iifname . ether saddr . ip saddr @sender4 goto pass
    ether type ip6 iifname . ether saddr . ip6 saddr @sender6 goto pass
    ether type ip6 ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, 143 } accept
    ether type arp iifname . arp saddr ether . arp saddr ip @sender4 accept
    ether type { ip, ip6, arp } goto refuse
  }
  chain pass {
    iifname @sent accept
  }
  chain refuse {
    iifname @forged
    update @told { iifname limit rate 5/second burst 10 packets } log prefix "${forgedPrefix}" group ${logGroup} snaplen 128
    drop
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
  chain postrouting {
    type filter hook postrouting priority 0; policy accept;
    oifname @receivelimits drop
    oifname @received accept
  }
}
`;
}

function inetTable({ bridge, ipv4, ipv6 }: GatewaySettings, closed: readonly AddressRange[]): string {
  const gateways = [`ip daddr ${ipv4.gateway}`, `ip6 daddr ${ipv6.gateway}`];
  return `
table inet workfort {
${families.flatMap((family) => [addressSet("closed", family, closed), addressSet("resolvers", family, resolverRanges), guestSets(family)]).join("\n")}
  # each question has a port of its own and would be a connection for half a minute
  chain asked {
    type filter hook prerouting priority raw; policy accept;
    ${gateways.map((gateway) => `iifname "${bridge}" ${gateway} udp dport 53 notrack`).join("\n    ")}
  }
  chain answered {
    type filter hook output priority raw; policy accept;
    oifname "${bridge}" udp sport 53 notrack
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${bridge}" ip saddr vmap @web4
    iifname "${bridge}" ip6 saddr vmap @web6
  }
  chain web {
    ${gateways.map((gateway) => `${gateway} return`).join("\n    ")}
    meta nfproto ipv4 tcp dport 80 dnat ip to ${ipv4.gateway}:${httpCheckPort}
    meta nfproto ipv6 tcp dport 80 dnat ip6 to [${ipv6.gateway}]:${httpCheckPort}
    meta nfproto ipv4 tcp dport 443 dnat ip to ${ipv4.gateway}:${tlsCheckPort}
    meta nfproto ipv6 tcp dport 443 dnat ip6 to [${ipv6.gateway}]:${tlsCheckPort}
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname != "${bridge}" goto outside
    ct state invalid drop
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    fib daddr type { broadcast, multicast } drop
    ${gateways.map((gateway) => `${gateway} meta l4proto { icmp, ipv6-icmp } limit rate 500/second burst 500 packets accept`).join("\n    ")}
    ${bounded("udp dport 53", "questions", "limit rate over 2000/second burst 2000 packets", "drop")}
    ${gateways.map((gateway) => `${gateway} udp dport 53 accept`).join("\n    ")}
    ct state established,related accept
    ${bounded("ct state new", "knocks", "limit rate over 500/second burst 1000 packets", "drop")}
    ${bounded("ct state new", "asking", `ct count over ${maxConnections}`, "goto refuse")}
    ${gateways.map((gateway) => `${gateway} tcp dport 53 accept`).join("\n    ")}
    ct status dnat tcp dport { ${httpCheckPort}, ${tlsCheckPort} } accept
    ${gateways[0]} ip saddr . tcp dport @services4 accept
    ${gateways[1]} ip6 saddr . tcp dport @services6 accept
    goto refuse
  }
  chain outside {
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state invalid drop
    iifname "${bridge}" goto leaving
    oifname "${bridge}" ct state established,related goto coming
  }
  chain leaving {
    oifname "${bridge}" goto refuse
    ct state related meta l4proto { icmp, ipv6-icmp } accept
    ${bounded("ct state new", "passing", `ct count over ${maxConnections}`, "goto refuse")}
    meta l4proto { tcp, udp } th dport { ${dnsPorts.join(", ")} } goto refuse
    ip saddr vmap @out4
    ip6 saddr vmap @out6
  }
  chain coming {
    ct state related meta l4proto { icmp, ipv6-icmp } accept
    ip daddr vmap @back4
    ip6 daddr vmap @back6
  }
  chain refuse {
    ip saddr @denied4
    ip6 saddr @denied6
    ${bounded("", "told", "limit rate 20/second burst 40 packets", `log prefix "${deniedPrefix}" group ${logGroup} snaplen 128`)}
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain refuseback {
    ip daddr @denied4
    ip6 daddr @denied6
    meta l4proto tcp reject with tcp reset
    drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${ipv4.subnet} oifname != "${bridge}" masquerade
    ip6 saddr ${ipv6.subnet} oifname != "${bridge}" masquerade
  }
}
`;
}

/** What is said of guests, by their addresses of one family. */
function guestSets(family: 4 | 6): string {
  const type = `ipv${family}_addr`;
  const dynamic = (name: string, more: string): string =>
    `  set ${name}${family} { type ${type}; flags dynamic; size ${maxGuests}; ${more} }`;
  return [
    ...["out", "back", "web"].map((name) => `  map ${name}${family} { type ${type} : verdict; }`),
    `  set denied${family} { type ${type}; counter; }`,
    `  set services${family} { type ${type} . inet_service; }`,
    // of a guest, an address that a name has led to, and one of the ports of its policy (policy-rules.ts)
    `  set names${family} { type ${type} . ${type} . mark; flags timeout; size 1048576; }`,
    ...["questions", "knocks", "told"].map((name) => dynamic(name, "timeout 1m;")),
    ...["asking", "passing"].map((name) => dynamic(name, "")),
  ].join("\n");
}

/** A rule for each guest by itself: `expression` counts per sender. */
function bounded(match: string, set: string, expression: string, verdict: string): string {
  return [
    `${match} meta nfproto ipv4 ${verb(expression)} @${set}4 { ip saddr ${expression} } ${verdict}`,
    `${match} meta nfproto ipv6 ${verb(expression)} @${set}6 { ip6 saddr ${expression} } ${verdict}`,
  ].join("\n    ");
}

function verb(expression: string): string {
  return expression.startsWith("ct count") ? "add" : "update";
}

function addressSet(name: string, family: 4 | 6, ranges: readonly AddressRange[]): string {
  const own = mergeRanges(ranges.filter((range) => range.family === family)).map(formatRange);
  const elements = own.length === 0 ? "" : `elements = { ${own.join(", ")} }`;
  return `  set ${name}${family} {\n    type ipv${family}_addr; flags interval;\n    ${elements}\n  }`;
}
