import { promises as fs } from "node:fs";
import type { GatewaySettings, GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { runTool } from "@workfort/host/process/run.ts";
import { Neighbours } from "./neighbours.ts";

const timeoutMs = 30_000;
/** locally administered; without one of its own a bridge takes that of a port, and changes it when the port goes */
const bridgeMac = "02:57:46:00:00:01";
const tapPattern = /^tap[a-z2-7]{12}$/;

/** The bridge and the taps of the namespace this process is in; each step may be done again. */
export class Links {
  /** Makes the bridge with its addresses, and the kernel a router that believes no guest. */
  async prepare({ bridge, ipv4, ipv6, mtu }: GatewaySettings): Promise<void> {
    const there = await interfaces();
    await ip([
      "link set dev lo up",
      ...(there.includes(bridge) ? [] : [`link add ${bridge} address ${bridgeMac} type bridge`]),
      `link set dev ${bridge} type bridge mcast_snooping 0 stp_state 0 forward_delay 0`,
      `link set dev ${bridge} mtu ${mtu} up`,
    ]);
    await setSysctls({
      "ipv4/ip_forward": "1",
      "ipv4/conf/all/rp_filter": "0", // the larger of this and the interface's counts
      "ipv4/conf/all/send_redirects": "0",
      "ipv4/conf/all/accept_redirects": "0",
      [`ipv4/conf/${bridge}/rp_filter`]: "1",
      [`ipv4/conf/${bridge}/send_redirects`]: "0",
      [`ipv4/conf/${bridge}/accept_redirects`]: "0",
      [`ipv4/conf/${bridge}/arp_ignore`]: "1",
      // a guest that looks for another one finds the gateway, which refuses it at once
      [`ipv4/conf/${bridge}/proxy_arp_pvlan`]: "1",
      // what is refused is told each time: who waits for an answer that does not come waits for long
      "ipv4/icmp_ratelimit": "0",
      "ipv6/icmp/ratelimit": "0",
      "ipv6/conf/all/forwarding": "1",
      "ipv6/conf/all/accept_redirects": "0",
      [`ipv6/conf/${bridge}/accept_ra`]: "0",
      [`ipv6/conf/${bridge}/accept_dad`]: "0",
      [`ipv6/conf/${bridge}/accept_redirects`]: "0",
    });
    await ip([
      `addr replace ${ipv4.gateway}/${ipv4.prefixLength} dev ${bridge}`,
      `addr replace ${ipv6.gateway}/${ipv6.prefixLength} dev ${bridge} nodad`,
    ]);
  }

  /**
   * Makes the taps of guests, isolated from one another, and tells the bridge where each guest is: neither ARP nor
   * neighbour discovery nor the source of a frame is ever believed, and nothing is flooded.
   */
  async attach(vms: readonly GatewayVm[], { bridge, mtu, tapOwner }: GatewaySettings): Promise<void> {
    if (vms.length === 0) return;
    const there = new Set(await interfaces());
    await ip(
      vms.flatMap(({ tap }) => [
        ...(there.has(tap) ? [] : [`tuntap add dev ${tap} mode tap user ${tapOwner} vnet_hdr`]),
        `link set dev ${tap} master ${bridge} mtu ${mtu} addrgenmode none`,
        `link set dev ${tap} type bridge_slave isolated on learning off flood off mcast_flood off bcast_flood off`,
        `link set dev ${tap} up`,
      ]),
    );
    const neighbours = new Neighbours();
    try {
      const bridgeIndex = await neighbours.indexOf(bridge);
      for (const { tap, macAddress, ipv4, ipv6 } of vms) {
        for (const address of [ipv4, ipv6]) neighbours.setAddress(bridgeIndex, address, macAddress);
        neighbours.setPort(await neighbours.indexOf(tap), macAddress);
      }
    } finally {
      neighbours.close();
    }
  }

  /** Removes a guest's tap and what was said of it. */
  async detach({ tap, ipv4, ipv6 }: GatewayVm, { bridge }: GatewaySettings): Promise<void> {
    const there = await interfaces();
    await ip(there.includes(tap) ? [`link del dev ${tap}`] : []);
    if (there.includes(bridge)) await ip([`neigh del ${ipv4} dev ${bridge}`, `neigh del ${ipv6} dev ${bridge}`], true);
  }

  /** Removes every tap but those of these guests. */
  async removeOthers(vms: readonly GatewayVm[], { bridge }: GatewaySettings): Promise<void> {
    const known = new Set(vms.map(({ tap }) => tap));
    const others = (await this.taps()).filter((tap) => !known.has(tap));
    await ip(others.map((tap) => `link del dev ${tap}`));
    const addresses = new Set(vms.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]));
    const { stdout } = await runTool(["ip", "neigh", "show", "dev", bridge, "nud", "permanent"], { timeoutMs });
    const stale = stdout.split("\n").flatMap((line) => line.split(" ")[0] || []);
    await ip(
      stale.filter((address) => !addresses.has(address)).map((address) => `neigh del ${address} dev ${bridge}`),
      true,
    );
  }

  async taps(): Promise<string[]> {
    return (await interfaces()).filter((name) => tapPattern.test(name));
  }
}

/** Names of the interfaces of this namespace; /sys may show another one's. */
async function interfaces(): Promise<string[]> {
  const text = await fs.readFile("/proc/self/net/dev", "utf8");
  return text.split("\n").flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);
}

async function ip(commands: readonly string[], goOn = false): Promise<void> {
  if (commands.length === 0) return;
  await runTool(["ip", ...(goOn ? ["-force"] : []), "-batch", "-"], {
    input: `${commands.join("\n")}\n`,
    timeoutMs,
    okCodes: goOn ? [0, 1, 2] : [0],
  });
}

async function setSysctls(values: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(values)) await fs.writeFile(`/proc/sys/net/${name}`, value);
}
