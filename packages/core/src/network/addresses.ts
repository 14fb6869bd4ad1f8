import { createHash } from "node:crypto";
import { bareId } from "../ids.ts";

/**
 * Where guests stand in the workplace's subnets. The gateway has the first address of each; a guest has a number, from
 * 2 on, and with it the address that lies so far behind the subnet's own.
 */
export interface Subnets {
  /** for example `10.213.0.0/16` */
  ipv4: string;
  /** for example `fd5f:2113:61c5::/64` */
  ipv6: string;
}

export const gatewayNumber = 1;
export const firstGuestNumber = 2;
/** of the guests' interfaces, bytes */
export const guestMtu = 1500;

/** The last number that a guest may have: the subnet's last address is its broadcast address. */
export function lastGuestNumber(subnets: Subnets): number {
  return 2 ** (32 - prefixLength(subnets.ipv4)) - 2;
}

/** The addresses that belong to a number, without prefix. */
export function addressesOf(subnets: Subnets, number: number): { ipv4: string; ipv6: string } {
  return { ipv4: ipv4Of(subnets.ipv4, number), ipv6: ipv6Of(subnets.ipv6, number) };
}

export function prefixLength(subnet: string): number {
  return Number(subnet.slice(subnet.indexOf("/") + 1));
}

/** Locally administered, and the same for each boot of a VM. */
export function macAddressOf(vmId: string): string {
  const digest = createHash("sha256").update(vmId).digest();
  return [0x02, ...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The host's end of a VM's interface: 15 characters, the most that Linux allows (IFNAMSIZ). */
export function tapOf(vmId: string): string {
  return `tap${bareId(vmId)}`;
}

/** What the agent is told of its interface on the kernel's command line (codex/reference/guest-protocol.md). */
export function networkArgument(subnets: Subnets, vmId: string, number: number): string {
  const guest = addressesOf(subnets, number);
  const gateway = addressesOf(subnets, gatewayNumber);
  const parts = [
    macAddressOf(vmId),
    `${guest.ipv4}/${prefixLength(subnets.ipv4)}`,
    gateway.ipv4,
    `${guest.ipv6}/${prefixLength(subnets.ipv6)}`,
    gateway.ipv6,
    guestMtu,
  ];
  return `workfort.network=${parts.join(",")}`;
}

function ipv4Of(subnet: string, number: number): string {
  const [address = ""] = subnet.split("/");
  const base = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const whole = base + number;
  return [24, 16, 8, 0].map((shift) => Math.floor(whole / 2 ** shift) % 256).join(".");
}

/** A subnet of ours ends in `::`, and no number needs more than 32 bits. */
function ipv6Of(subnet: string, number: number): string {
  const [address = ""] = subnet.split("/");
  const high = Math.floor(number / 65_536);
  const low = (number % 65_536).toString(16);
  return high === 0 ? `${address}${low}` : `${address}${high.toString(16)}:${low}`;
}
