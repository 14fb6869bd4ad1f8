import type { Namespace } from "./namespace.ts";

/**
 * Every packet that arrives in a namespace, counted before anything else there can see or drop it. What servers have
 * seen says who got through; this says that not even a packet came.
 */
export interface Arrival {
  from: string;
  to: string;
  /** tcp, udp, icmp, ipv6-icmp, or a number */
  protocol: string;
  /** null for what has no ports, and for later fragments */
  port: number | null;
}

const table = "observer";
/** before connection tracking, which puts fragments together at -400 */
const priority = -450;

const rules = `table inet ${table} {
  set bare4 { type ipv4_addr . ipv4_addr . inet_proto; size 65535; flags dynamic; }
  set bare6 { type ipv6_addr . ipv6_addr . inet_proto; size 65535; flags dynamic; }
  set ports4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; size 65535; flags dynamic; }
  set ports6 { type ipv6_addr . ipv6_addr . inet_proto . inet_service; size 65535; flags dynamic; }
  chain arriving {
    type filter hook prerouting priority ${priority};
    ip version 4 update @bare4 { ip saddr . ip daddr . ip protocol }
    ip6 version 6 update @bare6 { ip6 saddr . ip6 daddr . meta l4proto }
    ip protocol { tcp, udp } update @ports4 { ip saddr . ip daddr . ip protocol . th dport }
    meta nfproto ipv6 meta l4proto { tcp, udp } update @ports6 { ip6 saddr . ip6 daddr . meta l4proto . th dport }
  }
}`;

export async function observe(namespace: Namespace): Promise<void> {
  await namespace.nft(rules);
}

export async function arrivals(namespace: Namespace): Promise<Arrival[]> {
  const all: Arrival[] = [];
  for (const set of ["bare4", "bare6", "ports4", "ports6"]) {
    const text = await namespace.run(["nft", "--json", "list", "set", "inet", table, set]);
    const { nftables } = JSON.parse(text) as { nftables: { set?: { elem?: NftElement[] } }[] };
    const elements = nftables.flatMap((item) => item.set?.elem ?? []);
    for (const element of elements) {
      const [from, to, protocol, port] = ("concat" in element ? element : element.elem.val).concat;
      all.push({
        from: String(from),
        to: String(to),
        protocol: String(protocol),
        port: port === undefined ? null : Number(port),
      });
    }
  }
  return all;
}

type Concatenation = { concat: (string | number)[] };
type NftElement = Concatenation | { elem: { val: Concatenation } };

export async function forgetArrivals(namespace: Namespace): Promise<void> {
  const sets = ["bare4", "bare6", "ports4", "ports6"];
  await namespace.nft(sets.map((set) => `flush set inet ${table} ${set}`).join("\n"));
}

/** The rules of a namespace but these. */
export async function otherRules(namespace: Namespace): Promise<string> {
  const tables = (await namespace.run(["nft", "list", "tables"])).split("\n").filter((line) => line !== "");
  const others = tables.filter((line) => line !== `table inet ${table}`);
  const texts = await Promise.all(
    others.map((line) => namespace.run(["nft", "--stateless", "list", ...line.split(" ")])),
  );
  return texts.join("");
}
