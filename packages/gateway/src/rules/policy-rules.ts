import { createHash } from "node:crypto";
import type { OpenedRange } from "@workfort/core/network/disjoint-ranges.ts";
import { formatRange, type AddressRange } from "@workfort/core/network/ip.ts";
import type { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { PortRange } from "@workfort/core/network/ports.ts";

/** What rules need to know of a policy; guests for whom it is the same share the chains. */
export class PolicyRules {
  /** part of the chains' names */
  readonly key: string;
  readonly #policy: CompiledPolicy;
  /**
   * A connection that has been let through carries the mark of the policy that did it. Under another policy it is judged
   * again, by its next packet in either direction. Being made from what the policy says, the mark of the same rules is
   * the same, also that of another gateway.
   */
  readonly #mark: string;

  constructor(policy: CompiledPolicy, closed: readonly AddressRange[]) {
    const said = [policy.mode, ...policy.ranges.flatMap(elementsOf), ...policy.directPorts.map(portsOf)];
    const digest = createHash("sha256")
      .update([...said, ...closed.map(formatRange)].join("\n"))
      .digest();
    this.key = digest.toString("hex", 0, 8);
    this.#mark = `0x${((digest.readUInt32BE(0) | 1) >>> 0).toString(16)}`; // not 0, which nobody has judged
    this.#policy = policy;
  }

  /** for what a guest sends on */
  get outChain(): string {
    return `out_${this.key}`;
  }

  /** for the answers to that */
  get backChain(): string {
    return `back_${this.key}`;
  }

  /** for what is led to the checks; null where nothing is */
  get webChain(): string | null {
    if (this.#policy.mode !== "allow") return null;
    return this.#policy.ranges.length > 0 ? `web_${this.key}` : "web";
  }

  /** Makes chains and sets. */
  get text(): string {
    const { key } = this;
    const { ranges, directPorts, mode } = this.#policy;
    const classes = directPorts.map((range, place) => `${portsOf(range)} : ${placeMark(place)}`);
    return `
table inet workfort {
${([4, 6] as const)
  .map((family) => {
    const own = ranges.filter(({ range }) => range.family === family).flatMap(elementsOf);
    if (ranges.length === 0) return "";
    const elements = own.length === 0 ? "" : `elements = { ${own.join(", ")} }`;
    return `  set ranges${family}_${key} { type ipv${family}_addr . inet_proto . inet_service; flags interval; ${elements} }`;
  })
  .join("\n")}
${classes.length === 0 ? "" : `  map ports_${key} { type inet_proto . inet_service : mark; flags interval; elements = { ${classes.join(", ")} } }`}
  chain ${this.outChain} {
    ct mark ${this.#mark} accept
${this.#judgement("daddr", "dport", "refuse")}
    goto refuse
  }
  chain ${this.backChain} {
    ct mark ${this.#mark} accept
${this.#judgement("saddr", "sport", "refuseback")}
    goto refuseback
  }
${mode === "allow" && ranges.length > 0 ? this.#webText() : ""}
}
`;
  }

  /** Takes away what `text` makes, once no guest has it. */
  get removal(): string {
    const chains = [
      this.outChain,
      this.backChain,
      ...(this.webChain?.startsWith("web_") === true ? [this.webChain] : []),
    ];
    const { ranges, directPorts } = this.#policy;
    return [
      ...chains.map((chain) => `flush chain inet workfort ${chain}`),
      ...chains.map((chain) => `delete chain inet workfort ${chain}`),
      ...(ranges.length === 0 ? [] : [4, 6].map((family) => `delete set inet workfort ranges${family}_${this.key}`)),
      ...(directPorts.length === 0 ? [] : [`delete map inet workfort ports_${this.key}`]),
    ].join("\n");
  }

  /** What decides on a connection, by its other end; what it lets through bears the mark from then on. */
  #judgement(end: "daddr" | "saddr", port: "dport" | "sport", refuse: string): string {
    const { mode, ranges, directPorts } = this.#policy;
    const guest = end === "daddr" ? "saddr" : "daddr";
    const pass = `ct mark set ${this.#mark} accept`;
    const rules: string[] = [];
    if (ranges.length > 0)
      for (const [ip, family] of families)
        rules.push(`${ip} ${end} . meta l4proto . th ${port} @ranges${family}_${this.key} ${pass}`);
    if (directPorts.length > 0) {
      rules.push(`meta mark set 0 meta mark set meta l4proto . th ${port} map @ports_${this.key}`);
      for (const [ip, family] of families)
        rules.push(`meta mark != 0 ${ip} ${guest} . ${ip} ${end} . meta mark @names${family} meta mark set 0 ${pass}`);
      rules.push("meta mark set 0");
    }
    if (mode === "open") {
      for (const [ip, family] of families) rules.push(`${ip} ${end} @closed${family} goto ${refuse}`);
      for (const [ip, family] of families)
        rules.push(`meta l4proto { tcp, udp } th ${port} 443 ${ip} ${end} @resolvers${family} goto ${refuse}`);
      rules.push(pass);
    }
    return rules.map((rule) => `    ${rule}`).join("\n");
  }

  #webText(): string {
    const returns = families.map(
      ([ip, family]) => `    ${ip} daddr . meta l4proto . th dport @ranges${family}_${this.key} return`,
    );
    return `  chain web_${this.key} {\n${returns.join("\n")}\n    goto web\n  }`;
  }
}

const families = [
  ["ip", 4],
  ["ip6", 6],
] as const;

/** How a policy's ports, by their place in `directPorts`, are written in the set of opened addresses. */
export function placeMark(place: number): number {
  return place + 1; // 0 is none of them
}

function elementsOf({ range, ports }: OpenedRange): string[] {
  return ports.map((port) => `${formatRange(range)} . ${portsOf(port)}`);
}

function portsOf({ protocol, first, last }: PortRange): string {
  return `${protocol} . ${first === last ? first : `${first}-${last}`}`;
}
