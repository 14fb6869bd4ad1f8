import { isIP } from "node:net";
import {
  exactly,
  MemoryMiB,
  NetworkMode,
  oneOf,
  says,
  SetNetworkPolicy,
  trueOrFalse,
  VcpuCount,
  VmmChoice,
  wholeNumber,
  wholePolicy,
} from "@workfort/contract";
import { canonicalIpv6Subnet, ipv4SubnetAllowed, ipv6SubnetAllowed, isIpv4Subnet, isIpv6Subnet } from "@workfort/core";
import * as z from "zod";

/** keys under a heading; a heading with nothing under it is YAML's null */
const section = <const Shape extends z.ZodRawShape>(shape: Shape) =>
  z.preprocess((value) => value ?? {}, exactly(shape, "a map of keys"));

const pathAllowed = says("must be an absolute path");
const AbsolutePath = z.string(pathAllowed).startsWith("/", pathAllowed);

const listenAllowed = says("must be off, or address:port such as 127.0.0.1:9600");
const Listen = z.string(listenAllowed).refine((text) => text === "off" || isTcpAddress(text), listenAllowed);

function isTcpAddress(text: string): boolean {
  const [, host = "", port = ""] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(port) > 65_535) return false;
  const bracketed = /^\[(.+)\]$/.exec(host)?.[1];
  return host === "localhost" || (bracketed === undefined ? isIP(host) === 4 : isIP(bracketed) === 6);
}

const checked = (allowed: string, isAllowed: (text: string) => boolean): z.ZodString =>
  z.string(says(allowed)).refine(isAllowed, says(allowed));

const dnsServerAllowed = "must be an IP address, or address:port such as 192.0.2.53:53 or [2001:db8::53]:53";
const DnsServer = checked(
  dnsServerAllowed,
  (text) => isIP(text) !== 0 || (isTcpAddress(text) && !text.startsWith("localhost")),
);

/** as many as a resolver of glibc would ask, and some more */
const maxDnsServers = 8;

/** `nexus.yaml`; every key may be left out */
export const Config = section({
  api: section({
    listen: Listen.optional().describe(
      "TCP address; by default 127.0.0.1 and the first free port from 9600 on; the Unix socket is always there",
    ),
  }),
  storage: section({
    directory: AbsolutePath.optional().describe("where disks live, on btrfs; by default $XDG_DATA_HOME/nexus"),
  }),
  vm: section({
    vcpuCount: VcpuCount.default(1),
    memoryMiB: MemoryMiB.default(512),
  }),
  vmm: section({
    firecracker: AbsolutePath.optional().describe("the Firecracker program; by default the one on PATH"),
    qemu: AbsolutePath.optional().describe("the QEMU program; by default the one on PATH"),
    default: VmmChoice.default("auto").describe("what `auto` means for VMs that do not choose"),
    confine: trueOrFalse()
      .default(true)
      .describe("false leaves VMMs all files of the host, for a program that needs more of them than WorkFort knows"),
  }),
  network: section({
    mode: NetworkMode.default("auto").describe("how guests reach the outside, or off"),
    ipv4Subnet: checked(ipv4SubnetAllowed, isIpv4Subnet).default("10.213.0.0/16"),
    ipv6Subnet: checked(ipv6SubnetAllowed, isIpv6Subnet).default("fd5f:2113:61c5::/64").transform(canonicalIpv6Subnet),
    dns: z
      .array(DnsServer, says("must be a list of addresses"))
      .min(1, "must be a list of addresses")
      .max(maxDnsServers, `must be at most ${maxDnsServers} addresses`)
      .optional()
      .describe("whom names are asked of; by default the host's own resolvers"),
    policy: SetNetworkPolicy.default({})
      .transform(wholePolicy)
      .describe("of VMs without their own, until another default is set by the API"),
  }),
  memory: section({
    limitMiB: wholeNumber(0, 64 * 1_048_576, "MiB")
      .optional()
      .describe("what VMs may have in all; by default all memory but a tenth, at least 512 MiB"),
  }),
  log: section({
    level: oneOf(["debug", "info", "warn", "error"]).default("info"),
  }),
});
export type Config = z.infer<typeof Config>;
