import { Name, VmId } from "@workfort/contract/names";
import { AllowEntry, NetworkPolicy } from "@workfort/contract/network";
import * as z from "zod";

/** What nexusd and its gateway say to each other (codex/reference/gateway-protocol.md). Both sides import this. */

/** a gateway of another protocol is ended and started anew */
export const gatewayProtocol = 1;

const InterfaceName = z.string().regex(/^[A-Za-z0-9_.-]{1,15}$/); // IFNAMSIZ - 1
const Port = z.int().min(1).max(65_535);

export const GatewayService = z.object({
  name: Name,
  port: Port,
  /** Unix socket on which the daemon waits for its connections */
  socket: z.string(),
});
export type GatewayService = z.infer<typeof GatewayService>;

export const GatewaySettings = z.object({
  bridge: InterfaceName,
  ipv4: z.object({ subnet: z.cidrv4(), gateway: z.ipv4(), prefixLength: z.int().min(8).max(30) }),
  ipv6: z.object({ subnet: z.cidrv6(), gateway: z.ipv6(), prefixLength: z.int().min(32).max(126) }),
  mtu: z.int().min(1280).max(65_535),
  /** addresses, with a port or without */
  dnsServers: z.array(z.string()).max(16),
  /** the host's own, which are closed to guests */
  hostAddresses: z.array(z.union([z.ipv4(), z.ipv6()])),
  services: z.array(GatewayService),
  /** who may open the taps */
  tapOwner: z.int().min(0),
});
export type GatewaySettings = z.infer<typeof GatewaySettings>;

export const GatewayVm = z.object({
  id: VmId,
  name: Name,
  /** its place in the subnets, from 2 */
  number: z.int().min(2),
  tap: InterfaceName,
  macAddress: z.string().regex(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
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
