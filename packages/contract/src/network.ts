import * as z from "zod";
import { exactly, matching, oneOf, says, trueOrFalse, wholeNumber } from "./fields.ts";
import { Name, VmId } from "./names.ts";
import { policyPresets } from "./policy-presets.ts";

/**
 * Networking of guests: what a VM may reach, what reaches it, and how the host provides it.
 *
 * A policy is a mode and a list of entries. An entry is one line of text, the same in the API, on the command line and
 * in the configuration:
 * - `preset:npm`: the entries of a preset;
 * - `example.com`, `*.example.com`: a name, or every name below one, on TCP ports 80 and 443;
 *   `example.com:22`, `example.com:4000-4010/udp` on these ports instead;
 * - `203.0.113.0/24`, `2001:db8::/32`, `203.0.113.7`: addresses, on every port of TCP and UDP;
 *   `203.0.113.7:5432`, `[2001:db8::/32]:443/tcp` on these ports only. Only such an entry opens a private range.
 *
 * A port without a protocol is one of TCP.
 */

/** in how many ways the uplink of the workplace's network namespace is made */
export const networkWays = ["root", "pasta", "helper"] as const;
export const NetworkWay = z.enum(networkWays);
export type NetworkWay = z.infer<typeof NetworkWay>;

/** `auto` takes the first that works: `root` for root, else `helper` where it is installed, else `pasta` */
export const NetworkMode = oneOf(["auto", ...networkWays, "off"]);
export type NetworkMode = z.infer<typeof NetworkMode>;

export const presetNames = Object.keys(policyPresets) as (keyof typeof policyPresets)[];

/** most entries of one policy; a list of domains that people keep has some hundreds */
export const maxAllowEntries = 4096;

/** most host services that one policy may name */
const maxServices = 64;

const octet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const ipv4 = `${octet}(?:\\.${octet}){3}(?:/(?:3[0-2]|[12]?\\d))?`;
const ipv6 = "[0-9a-fA-F:]*:[0-9a-fA-F:.]*(?:/(?:12[0-8]|1[01]\\d|[1-9]?\\d))?";
const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
/** of a DNS name in text (RFC 1035, 2.3.4) */
const maxNameLength = 253;
/** a name that ends in a number is an address to who connects to it, as WHATWG URL reads it */
const noNumber = "(?!(?:\\d+|0x[0-9a-f]*)\\.?(?::|$))";
const domain = `(?:\\*\\.)?(?:${label}\\.)*${noNumber}${label}\\.?`;
const ports = "(?::\\d{1,5}(?:-\\d{1,5})?(?:/(?:tcp|udp))?)?";
const entryPattern = new RegExp(
  `^(?:preset:(?:${presetNames.join("|")})|${ipv4}${ports}|\\[${ipv6}\\]${ports}|${ipv6}|${domain}${ports})$`,
);

const entryAllowed = `must be an entry such as example.com, *.example.com:443, 203.0.113.0/24:5432, [2001:db8::/32]:443 or preset:npm (presets: ${presetNames.join(", ")})`;
const entryPorts = /^:(\d{1,5})(?:-(\d{1,5}))?(?:\/(?:tcp|udp))?$/;

export const AllowEntry = z
  .string(says(entryAllowed))
  .refine((text) => entryPattern.test(text) && hasGoodParts(text), says(entryAllowed));

/** What the pattern alone cannot say: ports from 1 to 65535 in their order, IPv6 addresses that are some, lengths. */
function hasGoodParts(entry: string): boolean {
  if (entry.startsWith("preset:")) return true;
  const isBare = !entry.startsWith("[") && entry.indexOf(":") !== entry.lastIndexOf(":");
  if (isBare) return isIpv6(entry);
  const end = entry.startsWith("[") ? entry.indexOf("]") + 1 : entry.indexOf(":");
  const [host, rest] = end <= 0 ? [entry, ""] : [entry.slice(0, end), entry.slice(end)];
  if (host.startsWith("[") ? !isIpv6(host.slice(1, -1)) : host.length > maxNameLength) return false;
  if (rest === "") return true;
  const [, first = "", last = first] = entryPorts.exec(rest) ?? [];
  return Number(first) >= 1 && Number(first) <= Number(last) && Number(last) <= 65_535;
}

function isIpv6(text: string): boolean {
  return z.ipv6().safeParse(text.replace(/\/\d+$/, "")).success;
}

export const policyModes = ["open", "none", "allow"] as const;
export const PolicyMode = oneOf(policyModes).describe(
  "`open`: the internet, without private ranges; `allow`: what the entries name; `none`: nothing",
);
export type PolicyMode = z.infer<typeof PolicyMode>;

const BytesPerSecond = wholeNumber(8192, 1024 ** 4, "bytes per second");

const policyFields = {
  mode: PolicyMode,
  allow: z
    .array(AllowEntry, says("must be a list of entries"))
    .max(maxAllowEntries, `must be a list of at most ${maxAllowEntries} entries`),
  encryptedClientHello: oneOf(["accept", "refuse"]).describe(
    "what happens in mode `allow` to TLS connections whose true name is encrypted (ECH): judged by their outer name, or refused",
  ),
  services: z
    .array(Name, says("must be a list of names"))
    .max(maxServices, `must be a list of at most ${maxServices} names`)
    .describe("host services that the VM may use"),
  sendBytesPerSecond: BytesPerSecond.nullable().describe("bound of what the guest sends; null for none"),
  receiveBytesPerSecond: BytesPerSecond.nullable().describe("bound of what the guest receives; null for none"),
};

/** what a VM may reach */
export const NetworkPolicy = z.object(policyFields);
export type NetworkPolicy = z.infer<typeof NetworkPolicy>;

export const openPolicy: NetworkPolicy = {
  mode: "open",
  allow: [],
  encryptedClientHello: "accept",
  services: [],
  sendBytesPerSecond: null,
  receiveBytesPerSecond: null,
};

/** a policy as it is asked for: what is left out is as in `openPolicy`; entries without a mode mean `allow` */
export const SetNetworkPolicy = exactly({
  mode: PolicyMode.optional().describe("by default `allow` where there are entries, else `open`"),
  allow: policyFields.allow.optional(),
  encryptedClientHello: policyFields.encryptedClientHello.optional(),
  services: policyFields.services.optional(),
  sendBytesPerSecond: policyFields.sendBytesPerSecond.optional(),
  receiveBytesPerSecond: policyFields.receiveBytesPerSecond.optional(),
}).refine((body) => body.mode === undefined || body.mode === "allow" || (body.allow ?? []).length === 0, {
  path: ["allow"],
  message: "must be left out, or `mode` be allow",
});
export type SetNetworkPolicy = z.infer<typeof SetNetworkPolicy>;

const entries = policyFields.allow.optional();

/** a change of a VM's entries that leaves the rest of its policy as it is */
export const EditNetworkPolicy = exactly({
  allow: entries.describe("entries to add"),
  deny: entries.describe("entries to take out, as they were written"),
}).refine((body) => body.allow !== undefined || body.deny !== undefined, {
  path: ["allow"],
  message: "give either `allow` or `deny`, or both",
});
export type EditNetworkPolicy = z.infer<typeof EditNetworkPolicy>;

/** The whole policy that was asked for. */
export function wholePolicy(asked: SetNetworkPolicy): NetworkPolicy {
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return { ...openPolicy, mode: (asked.allow ?? []).length > 0 ? "allow" : "open", ...given };
}

export const PolicySource = z
  .enum(["vm", "default"])
  .describe("whose policy it is; `default`: the VM has none of its own");

/** the policy in force, and whose it is */
export const PolicyInForce = z.object({ policy: NetworkPolicy, source: PolicySource });
export type PolicyInForce = z.infer<typeof PolicyInForce>;

/** the network interface of a VM; its addresses stay with it until it is deleted */
export const VmNetwork = z.object({
  macAddress: z.string().describe("for example `02:5a:1f:00:9c:3e`"),
  ipv4: z.string().describe("address in the guest, for example `10.213.0.2`"),
  ipv6: z.string(),
  tap: z.string().describe("the interface's other end, in the workplace's network namespace"),
  attached: z.boolean().describe("whether the running VM has it; false while it does not run, or without a network"),
  policyMode: PolicyMode.describe("of the policy in force"),
  policySource: PolicySource,
});
export type VmNetwork = z.infer<typeof VmNetwork>;

/** what has passed a VM's interface since it was started, and what was not let through */
export const VmNetworkCounters = z.object({
  sentBytes: z.int(),
  sentPackets: z.int(),
  receivedBytes: z.int(),
  receivedPackets: z.int(),
  deniedPackets: z.int().describe("packets and names that the policy did not let through"),
});
export type VmNetworkCounters = z.infer<typeof VmNetworkCounters>;

export const denialKinds = ["dns", "http", "tls", "packet", "spoof"] as const;

/** something that a guest wanted and did not get */
export const Denial = z.object({
  number: z.int().describe("grows by one"),
  at: z.int().describe("Unix ms of the first"),
  vmId: VmId,
  vmName: Name,
  kind: z
    .enum(denialKinds)
    .describe("where it was refused: a name asked for, a request, a TLS hello, a packet, a forged packet"),
  name: z.string().nullable().describe("the name that was asked for; null where none is known"),
  address: z.string().nullable(),
  port: z.int().nullable(),
  protocol: z.enum(["tcp", "udp", "icmp", "other"]).nullable(),
  reason: z.string(),
  count: z.int().describe("how many of the same within a second this stands for"),
});
export type Denial = z.infer<typeof Denial>;

/** something of ours that is there without being needed, or the reverse */
export const NetworkLeftover = z.object({
  kind: z.enum(["tap", "rule", "namespace", "uplink", "gateway", "socket", "process"]),
  name: z.string(),
  detail: z.string(),
  removed: z.boolean(),
});
export type NetworkLeftover = z.infer<typeof NetworkLeftover>;

export const NetworkStatus = z.object({
  mode: NetworkMode.describe("as configured"),
  way: NetworkWay.nullable().describe("how the uplink is made; null where there is no network"),
  usable: z.boolean(),
  reason: z.string().describe("why it is so, or why there is none"),
  hint: z.string().nullable().describe("the next command to type where it cannot be used"),
  bridge: z.string(),
  ipv4Subnet: z.string(),
  ipv6Subnet: z.string(),
  dnsServers: z.array(z.string()).describe("whom our DNS asks"),
  gatewayPid: z
    .int()
    .nullable()
    .describe("of the process that answers names and checks connections; null while none is needed"),
  attachedCount: z.int().describe("VMs with an interface at the moment"),
});
export type NetworkStatus = z.infer<typeof NetworkStatus>;

const PortNumber = wholeNumber(1, 65_535);

const targetAllowed = "must be address:port such as 127.0.0.1:11434, or unix: and an absolute path";
const ServiceTarget = matching(/^(?:unix:\/[^\0]{1,100}|(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5})$/, targetAllowed);

/** something of the host that VMs may be given, at `<name>.workfort.internal:<port>` */
export const HostService = z.object({
  name: Name,
  port: PortNumber.describe("in the guest"),
  target: z.string().describe("where the daemon connects to: `address:port`, or `unix:` and a path"),
  createdAt: z.int(),
});
export type HostService = z.infer<typeof HostService>;
export const CreateHostService = exactly({ name: Name, port: PortNumber, target: ServiceTarget });
export type CreateHostService = z.infer<typeof CreateHostService>;
/** ports of the gateway's own, which no service can have */
export const gatewayPorts = [53, 10_080, 10_443] as const;
export const serviceDomain = "workfort.internal";

/** the interface of a VM that is to be created */
export const CreateVmNetwork = exactly({
  enabled: trueOrFalse().default(true).describe("false: the VM has no interface at all"),
  policy: SetNetworkPolicy.optional().describe("its own policy; without one the default holds, also when that changes"),
}).refine((body) => body.enabled || body.policy === undefined, {
  path: ["policy"],
  message: "must be left out where `enabled` is false",
});
export type CreateVmNetwork = z.infer<typeof CreateVmNetwork>;
