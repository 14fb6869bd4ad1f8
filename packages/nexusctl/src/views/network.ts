import type {
  Denial,
  HostService,
  NetworkLeftover,
  NetworkPolicy,
  NetworkStatus,
  PolicyInForce,
  Vm,
  VmNetworkCounters,
} from "@workfort/contract";
import { printable, type Paint } from "../format/colour.ts";
import { renderPairs, renderTable, type Column } from "../format/table.ts";
import { formatAge, formatBytes, formatTime, plural } from "../format/units.ts";

/** `pasta, 10.213.0.0/16, 2 VMs attached` */
export function networkLine({ mode, way, usable, ipv4Subnet, attachedCount }: NetworkStatus, paint: Paint): string {
  if (mode === "off") return "off";
  if (!usable) return paint("red", "cannot be used: VMs start without one");
  return `${way ?? mode}, ${ipv4Subnet}, ${plural(attachedCount, "VM")} attached`;
}

export function networkText(status: NetworkStatus, paint: Paint): string {
  return renderPairs(
    [
      ["Network", status.usable ? paint("green", "can be used") : paint(status.mode === "off" ? "dim" : "red", "none")],
      ["Why", printable(status.reason)],
      ["Next", status.hint === null ? null : printable(status.hint)],
      ["Mode", `${status.mode}${status.way === null ? "" : `, by ${status.way}`}`],
      ["Subnets", `${status.ipv4Subnet}, ${status.ipv6Subnet}`],
      ["Bridge", status.bridge],
      ["DNS", status.dnsServers.length === 0 ? null : status.dnsServers.join(", ")],
      ["Gateway", status.gatewayPid === null ? null : `pid ${status.gatewayPid}`],
      ["Attached", plural(status.attachedCount, "VM")],
    ],
    paint,
  );
}

/** A policy, and whose it is where that is known. */
export function policyText(policy: NetworkPolicy, source: PolicyInForce["source"] | null, paint: Paint): string {
  const whose = source === null ? "" : paint("dim", source === "vm" ? "  its own" : "  the default");
  const limits = [
    ...(policy.sendBytesPerSecond === null ? [] : [`sends at most ${formatBytes(policy.sendBytesPerSecond)}/s`]),
    ...(policy.receiveBytesPerSecond === null
      ? []
      : [`receives at most ${formatBytes(policy.receiveBytesPerSecond)}/s`]),
  ];
  return renderPairs(
    [
      ["Policy", `${modeWords[policy.mode]}${whose}`],
      ...policy.allow.map((entry, place) => [place === 0 ? "Allow" : "", entry] as const),
      ["Encrypted hello", policy.encryptedClientHello === "refuse" ? "refused" : null],
      ["Services", policy.services.length === 0 ? null : policy.services.join(", ")],
      ["Limits", limits.length === 0 ? null : limits.join(", ")],
    ],
    paint,
  );
}

const modeWords: Record<NetworkPolicy["mode"], string> = {
  open: "open: the internet, without private ranges",
  none: "none: nothing can be reached",
  allow: "allow: only what is listed",
};

/** `10.213.0.2, fd5f:2113:61c5::2, policy open (the default)` */
export function interfaceLine(network: NonNullable<Vm["network"]>, paint: Paint): string {
  const { ipv4, ipv6, policyMode, policySource, attached } = network;
  const whose = policySource === "vm" ? "its own" : "the default";
  return `${ipv4}, ${ipv6}, policy ${policyMode} (${whose})${attached ? "" : paint("dim", "  not attached")}`;
}

export function countersText(counters: VmNetworkCounters, paint: Paint): string {
  return renderPairs(
    [
      ["Sent", `${formatBytes(counters.sentBytes)} in ${plural(counters.sentPackets, "packet")}`],
      ["Received", `${formatBytes(counters.receivedBytes)} in ${plural(counters.receivedPackets, "packet")}`],
      ["Denied", plural(counters.deniedPackets, "packet or name", "packets and names")],
    ],
    paint,
  );
}

/** `2026-11-23 14:05:09  dev  dns  example.com  its policy does not name it  ×3` */
export function denialLine(denial: Denial, paint: Paint): string {
  const { at, vmName, kind, name, address, port, protocol, reason, count } = denial;
  const end = [
    ...(name === null ? [] : [printable(name)]),
    ...(address === null ? [] : [address.includes(":") && port !== null ? `[${address}]` : address]),
  ].join(" at ");
  const where = `${end}${port === null ? "" : `:${port}`}${protocol === null ? "" : `/${protocol}`}`;
  const words = [paint("dim", formatTime(at)), paint("bold", vmName), kind.padEnd(6), where, printable(reason)];
  return `${words.filter((word) => word !== "").join("  ")}${count > 1 ? `  ×${count}` : ""}\n`;
}

export async function serviceTable(services: readonly HostService[], now: number, paint: Paint): Promise<string> {
  const columns: Column<HostService>[] = [
    { title: "NAME", cell: ({ name }) => name },
    { title: "IN THE GUEST", cell: ({ name, port }) => `${name}.workfort.internal:${port}` },
    { title: "LEADS TO", cell: ({ target }) => printable(target) },
    { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, now) },
  ];
  return await renderTable(columns, services, paint);
}

export async function leftoverTable(leftovers: readonly NetworkLeftover[], paint: Paint): Promise<string> {
  const columns: Column<NetworkLeftover>[] = [
    { title: "KIND", cell: ({ kind }) => kind },
    { title: "NAME", cell: ({ name }) => printable(name) },
    { title: "REMOVED", cell: ({ removed }) => (removed ? "yes" : { text: "no", style: "red" }) },
    { title: "DETAIL", cell: ({ detail }) => printable(detail) },
  ];
  return await renderTable(columns, leftovers, paint);
}
