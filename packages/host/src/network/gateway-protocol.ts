import { AllowEntry, Name, NetworkPolicy, VmId } from "@workfort/contract";
import * as z from "zod";

/** What nexusd and its gateway say to each other (codex/reference/gateway-protocol.md). Both sides import this. */

/** a gateway of another protocol is ended and started anew */
export const gatewayProtocol = 1;

const Subnet = z.object({
  /** for example `10.213.0.0/16` */
  subnet: z.string(),
  gateway: z.string(),
  prefixLength: z.int(),
});

export const GatewayService = z.object({
  name: Name,
  port: z.int(),
  /** Unix socket on which the daemon waits for its connections */
  socket: z.string(),
});
export type GatewayService = z.infer<typeof GatewayService>;

export const GatewaySettings = z.object({
  bridge: z.string(),
  ipv4: Subnet,
  ipv6: Subnet,
  mtu: z.int(),
  /** addresses, with a port or without */
  dnsServers: z.array(z.string()),
  /** the host's own, which are closed to guests */
  hostAddresses: z.array(z.string()),
  services: z.array(GatewayService),
  /** who may open the taps */
  tapOwner: z.int(),
});
export type GatewaySettings = z.infer<typeof GatewaySettings>;

export const GatewayVm = z.object({
  id: VmId,
  name: Name,
  /** its place in the subnets, from 2 */
  number: z.int(),
  tap: z.string(),
  macAddress: z.string(),
  ipv4: z.string(),
  ipv6: z.string(),
  policy: NetworkPolicy.extend({ allow: z.array(AllowEntry) }),
});
export type GatewayVm = z.infer<typeof GatewayVm>;

export const GatewayState = GatewaySettings.extend({ vms: z.array(GatewayVm) });
export type GatewayState = z.infer<typeof GatewayState>;

export const GatewayStatus = z.object({
  protocol: z.int(),
  version: z.string(),
  pid: z.int(),
  startedAtMs: z.int(),
  vms: z.array(VmId),
});
export type GatewayStatus = z.infer<typeof GatewayStatus>;

/** names of what is there */
export const GatewayInventory = z.object({ taps: z.array(z.string()), chains: z.array(z.string()) });
export type GatewayInventory = z.infer<typeof GatewayInventory>;
