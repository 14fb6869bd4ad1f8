import { createHash } from "node:crypto";
import type { OpenedRange } from "@workfort/core/network/disjoint-ranges.ts";
import { formatRange } from "@workfort/core/network/ip.ts";
import { dnsPorts, type CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { PortRange } from "@workfort/core/network/ports.ts";
import type { GatewaySettings, GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { linkLocalOf } from "../links/link-local.ts";
import { httpCheckPort, logGroup, tlsCheckPort } from "./base-rules.ts";

/** a guest, as its rules need it */
export interface RuledGuest {
  vm: GatewayVm;
  policy: CompiledPolicy;
}

export interface Count {
  packets: number;
  bytes: number;
}

/** connections of one guest that are not through the gateway; a bound for the namespace's table of connections */
const maxConnections = 4096;
/** of a guest's bytes that may come at once where its speed is bounded; a segment that the kernel has joined has 64 KiB */
const minBurstBytes = 256 * 1024;
/** of a set of addresses that names lead to */
const maxNameElements = 8192;

/**
 * The rules of one guest, number N: chains `from_N`, `to_N` and `spoof_N` in `bridge`; in `inet` `out_N` for what it
 * sends on, `back_N` for the answers, `asks_N` for what it asks the gateway, `web_N` for what is led there, `refuse_N`.
 *
 * A connection that has been let through carries the mark of the policy that did it. Under another policy it is judged
 * again, by its next packet in either direction. The mark is made from what the policy says, so that the same rules put
 * anew change nothing.
 */
export function guestRules(guest: RuledGuest, settings: GatewaySettings, counts: ReadonlyMap<string, Count>): string {
  const { vm, policy } = guest;
  const { number: n } = vm;
  const mark = markOf(vm, settings);
  const chains = { bridge: ["from", "to", "spoof"], inet: ["out", "back", "asks", "web", "refuse"] };
  return `
${["sent", "received", "spoofed"].map((name) => counter("bridge", `${name}_${n}`, counts)).join("\n")}
${counter("inet", `denied_${n}`, counts)}
${Object.entries(chains)
  .flatMap(([family, names]) => names.map((name) => emptyChain(family, `${name}_${n}`)))
  .join("\n")}
${([4, 6] as const).map((family) => rangeSet(n, family, policy.ranges)).join("\n")}
${([4, 6] as const).map((family) => nameSet(n, family)).join("\n")}
table bridge workfort {
  chain spoof_${n} {
    counter name "spoofed_${n}"
    limit rate 5/second burst 10 packets log prefix "spoof ${n}" group ${logGroup} snaplen 128
    drop
  }
  chain from_${n} {
    ether saddr != ${vm.macAddress} goto spoof_${n}
    ${policer(vm.policy.sendBytesPerSecond)}
    ether type ip ip saddr ${vm.ipv4} counter name "sent_${n}" accept
    ether type ip6 ip6 saddr { ${vm.ipv6}, ${linkLocalOf(vm.macAddress)} } counter name "sent_${n}" accept
    ether type ip6 ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, 143 } accept
    ether type arp arp saddr ether ${vm.macAddress} arp saddr ip ${vm.ipv4} accept
    ether type { ip, ip6, arp } goto spoof_${n}
    drop
  }
  chain to_${n} {
    ${policer(vm.policy.receiveBytesPerSecond)}
    counter name "received_${n}"
    accept
  }
}
table inet workfort {
  chain refuse_${n} {
    counter name "denied_${n}"
    limit rate 20/second burst 40 packets log prefix "deny ${n}" group ${logGroup} snaplen 128
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain out_${n} {
    oifname "${settings.bridge}" goto refuse_${n}
    ct mark ${mark} accept
    ct state related meta l4proto { icmp, ipv6-icmp } accept
    ct state new ct count over ${maxConnections} goto refuse_${n}
${judgement(guest, mark, { address: "daddr", port: "dport" })}
    goto refuse_${n}
  }
  chain back_${n} {
    ct mark ${mark} accept
    ct state related meta l4proto { icmp, ipv6-icmp } accept
${judgement(guest, mark, { address: "saddr", port: "sport" })}
    counter name "denied_${n}"
    meta l4proto tcp reject with tcp reset
    drop
  }
  chain asks_${n} {
    udp dport 53 limit rate over 2000/second burst 2000 packets drop
    ct state established,related accept
    ct state new limit rate over 500/second burst 1000 packets drop
    ct state new ct count over ${maxConnections} goto refuse_${n}
${asks(guest, settings)}
    goto refuse_${n}
  }
  chain web_${n} {
${web(guest, settings)}
  }
}
${members(vm)
  .map(([map, key, chain]) => `add element ${map} { ${key} : goto ${chain} }`)
  .join("\n")}
`;
}

/** Takes what `guestRules` has made away. */
export function guestRemoval(vm: GatewayVm): string {
  const { number: n } = vm;
  return [
    ...members(vm).map(([map, key]) => `delete element ${map} { ${key} }`),
    // those that lead to others first
    ...["from", "to", "spoof"].map((name) => `flush chain bridge workfort ${name}_${n}`),
    ...["out", "back", "asks", "web", "refuse"].map((name) => `flush chain inet workfort ${name}_${n}`),
    ...["from", "to", "spoof"].map((name) => `delete chain bridge workfort ${name}_${n}`),
    ...["out", "back", "asks", "web", "refuse"].map((name) => `delete chain inet workfort ${name}_${n}`),
    ...["ranges4", "ranges6", "names4", "names6"].map((name) => `delete set inet workfort ${name}_${n}`),
    ...["sent", "received", "spoofed"].map((name) => `delete counter bridge workfort ${name}_${n}`),
    `delete counter inet workfort denied_${n}`,
    "",
  ].join("\n");
}

/** Opens addresses to a guest for a while; what is there already stays for the new time. */
export function nameElements(
  number: number,
  addresses: readonly string[],
  ports: readonly PortRange[],
  seconds: number,
): string {
  return addresses
    .flatMap((address) => {
      const set = `inet workfort names${address.includes(":") ? 6 : 4}_${number}`;
      return ports.flatMap((range) => {
        const key = `${address} . ${portsOf(range)}`;
        // kernels before 6.12 do not change the time of an element that is there
        return [
          `add element ${set} { ${key} timeout ${seconds}s }`,
          `delete element ${set} { ${key} }`,
          `add element ${set} { ${key} timeout ${seconds}s }`,
        ];
      });
    })
    .join("\n");
}

function members({ number: n, tap, ipv4, ipv6 }: GatewayVm): [map: string, key: string, chain: string][] {
  return [
    ["bridge workfort from", `"${tap}"`, `from_${n}`],
    ["bridge workfort to", `"${tap}"`, `to_${n}`],
    ...["out", "back", "asks", "web"].flatMap((name): [string, string, string][] => [
      [`inet workfort ${name}4`, ipv4, `${name}_${n}`],
      [`inet workfort ${name}6`, ipv6, `${name}_${n}`],
    ]),
  ];
}

/** What decides on a connection, by its other end; what it lets through bears the mark from then on. */
function judgement({ vm, policy }: RuledGuest, mark: string, end: { address: string; port: string }): string {
  if (policy.mode === "none") return "";
  const { number: n } = vm;
  const pass = `ct mark set ${mark} accept`;
  const { address, port } = end;
  const known = (name: string): string[] => [
    `ip ${address} . meta l4proto . th ${port} @${name}4_${n} ${pass}`,
    `ip6 ${address} . meta l4proto . th ${port} @${name}6_${n} ${pass}`,
  ];
  return [
    `meta l4proto { tcp, udp } th ${port} { ${dnsPorts.join(", ")} } goto refuse_${n}`,
    ...(policy.ranges.length > 0 ? known("ranges") : []),
    ...(policy.mode === "allow" ? known("names") : []),
    ...(policy.mode === "open"
      ? [
          `ip ${address} @closed4 goto refuse_${n}`,
          `ip6 ${address} @closed6 goto refuse_${n}`,
          `meta l4proto { tcp, udp } th ${port} 443 ip ${address} @resolvers4 goto refuse_${n}`,
          `meta l4proto { tcp, udp } th ${port} 443 ip6 ${address} @resolvers6 goto refuse_${n}`,
          pass,
        ]
      : []),
  ]
    .map((rule) => `    ${rule}`)
    .join("\n");
}

/** What a guest may ask the gateway itself. */
function asks({ policy }: RuledGuest, { services, ipv4, ipv6 }: GatewaySettings): string {
  const own = services.filter((service) => policy.services.has(service.name)).map((service) => service.port);
  return [
    "meta l4proto { tcp, udp } th dport 53 jump here",
    ...(policy.mode === "allow" ? [`ct status dnat tcp dport { ${httpCheckPort}, ${tlsCheckPort} } accept`] : []),
    ...(own.length > 0 ? [`tcp dport { ${own.join(", ")} } jump here`] : []),
  ]
    .flatMap((rule) =>
      rule.endsWith("jump here")
        ? [`ip daddr ${ipv4.gateway}`, `ip6 daddr ${ipv6.gateway}`].map(
            (gateway) => `${gateway} ${rule.replace("jump here", "accept")}`,
          )
        : [rule],
    )
    .map((rule) => `    ${rule}`)
    .join("\n");
}

/** What is led to the check of names: ports 80 and 443, but for addresses that an entry opens and the gateway itself. */
function web({ vm, policy }: RuledGuest, { ipv4, ipv6 }: GatewaySettings): string {
  if (policy.mode !== "allow") return "";
  const { number: n } = vm;
  return [
    `ip daddr ${ipv4.gateway} return`,
    `ip6 daddr ${ipv6.gateway} return`,
    ...(policy.ranges.length > 0
      ? [4, 6].map(
          (family) => `${family === 4 ? "ip" : "ip6"} daddr . meta l4proto . th dport @ranges${family}_${n} return`,
        )
      : []),
    `meta nfproto ipv4 tcp dport 80 dnat ip to ${ipv4.gateway}:${httpCheckPort}`,
    `meta nfproto ipv6 tcp dport 80 dnat ip6 to [${ipv6.gateway}]:${httpCheckPort}`,
    `meta nfproto ipv4 tcp dport 443 dnat ip to ${ipv4.gateway}:${tlsCheckPort}`,
    `meta nfproto ipv6 tcp dport 443 dnat ip6 to [${ipv6.gateway}]:${tlsCheckPort}`,
  ]
    .map((rule) => `    ${rule}`)
    .join("\n");
}

function rangeSet(n: number, family: 4 | 6, ranges: readonly OpenedRange[]): string {
  const set = `inet workfort ranges${family}_${n}`;
  const elements = ranges
    .filter(({ range }) => range.family === family)
    .flatMap(({ range, ports }) => ports.map((port) => `${formatRange(range)} . ${portsOf(port)}`));
  return [
    `add set ${set} { type ipv${family}_addr . inet_proto . inet_service; flags interval; }`,
    `flush set ${set}`,
    ...(elements.length === 0 ? [] : [`add element ${set} { ${elements.join(", ")} }`]),
  ].join("\n");
}

function nameSet(n: number, family: 4 | 6): string {
  const set = `inet workfort names${family}_${n}`;
  const type = `type ipv${family}_addr . inet_proto . inet_service; flags interval,timeout; size ${maxNameElements};`;
  return `add set ${set} { ${type} }\nflush set ${set}`;
}

function portsOf({ protocol, first, last }: PortRange): string {
  return `${protocol} . ${first === last ? first : `${first}-${last}`}`;
}

function policer(bytesPerSecond: number | null): string {
  if (bytesPerSecond === null) return "";
  const burst = Math.min(Math.max(minBurstBytes, Math.floor(bytesPerSecond / 8)), 2 ** 31);
  return `limit rate over ${bytesPerSecond} bytes/second burst ${burst} bytes drop`;
}

function counter(family: string, name: string, counts: ReadonlyMap<string, Count>): string {
  const { packets = 0, bytes = 0 } = counts.get(name) ?? {};
  return `add counter ${family} workfort ${name} { packets ${packets} bytes ${bytes} }`;
}

function emptyChain(family: string, name: string): string {
  return `add chain ${family} workfort ${name}\nflush chain ${family} workfort ${name}`;
}

/** Of a guest's policy under these settings; never 0, which is a connection's that nobody has judged. */
function markOf(vm: GatewayVm, settings: GatewaySettings): string {
  const { ipv4, ipv6, hostAddresses } = settings;
  const digest = createHash("sha256")
    .update(JSON.stringify([vm.id, vm.policy, ipv4, ipv6, hostAddresses]))
    .digest();
  return `0x${((digest.readUInt32BE(0) | 1) >>> 0).toString(16)}`;
}
