import { policyPresets } from "@workfort/contract/policy-presets";
import { parseRange, type AddressRange } from "./ip.ts";
import { everyPort, type PortRange, type Protocol } from "./ports.ts";

/** An entry of a policy, read. */
export type PolicyEntry =
  | { kind: "name"; name: string; wildcard: boolean; ports: readonly PortRange[] }
  | { kind: "addresses"; range: AddressRange; ports: readonly PortRange[] };

const web: readonly PortRange[] = [
  { protocol: "tcp", first: 80, last: 80 },
  { protocol: "tcp", first: 443, last: 443 },
];
const maxNameBytes = 253; // RFC 1035 2.3.4, without the root

/** Reads entries, presets resolved. What is no entry is left out: it lets nothing through. */
export function parseEntries(texts: readonly string[]): PolicyEntry[] {
  return texts.flatMap((text) => {
    const preset = /^preset:(.*)$/s.exec(text)?.[1];
    if (preset === undefined) return parseEntry(text) ?? [];
    const entries: readonly string[] = (policyPresets as Record<string, readonly string[]>)[preset] ?? [];
    return entries.flatMap((entry) => parseEntry(entry) ?? []);
  });
}

function parseEntry(text: string): PolicyEntry | null {
  const bracketed = /^\[([^\]]*)\](.*)$/s.exec(text);
  const bare = bracketed === null && text.split(":").length > 2; // IPv6 without brackets has no port
  const [, host = "", tail = ""] = bracketed ?? (bare ? [text, text, ""] : (/^([^:]*)(.*)$/s.exec(text) ?? []));
  const ports = tail === "" ? null : parsePorts(tail);
  if (tail !== "" && ports === null) return null;
  const range = parseRange(host);
  if (range !== null) return { kind: "addresses", range, ports: ports ?? everyPort };
  if (bracketed !== null || bare) return null;
  const wildcard = host.startsWith("*.");
  const name = plainName(wildcard ? host.slice(2) : host);
  return name === null ? null : { kind: "name", name, wildcard, ports: ports ?? web };
}

/** `:22`, `:4000-4010/udp`; a port alone is one of TCP. */
function parsePorts(text: string): PortRange[] | null {
  const [, first, last, protocol] = /^:(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp))?$/.exec(text) ?? [];
  if (first === undefined) return null;
  const range = { protocol: (protocol ?? "tcp") as Protocol, first: Number(first), last: Number(last ?? first) };
  return range.first > range.last || range.last > 65_535 ? null : [range];
}

/**
 * The name as policies compare it: lower case, no dot at its end; null for what is no name. What ends in a number is an
 * address in some spelling to whoever connects to it (WHATWG URL, "ends in a number"), so it is no name.
 */
export function plainName(text: string): string | null {
  const name = text.replace(/\.$/, "").toLowerCase();
  if (name.length > maxNameBytes) return null;
  const labels = name.split(".");
  if (!labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))) return null;
  return /^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "") ? null : name;
}
