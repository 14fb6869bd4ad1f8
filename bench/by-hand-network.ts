import type { AttachedNetwork } from "@workfort/core";
import { networkArgument, macAddressOf } from "@workfort/core/network/addresses.ts";
import type { Internet, Namespace } from "@workfort/testing";

/** subnets of the bridge by hand; not those of WorkFort's */
const subnets = { ipv4: "10.99.0.0/16", ipv6: "fd99:1:2:3::/64" };
const vmId = "vm_byhandbyhand";

/** A bridge, a tap and NAT on the tested machine, as one makes them by hand. */
export async function makeBridgeByHand({ host }: Internet): Promise<AttachedNetwork> {
  const tap = "tapbyhand";
  await host.ip([
    "link add brbyhand type bridge",
    "address add 10.99.0.1/16 dev brbyhand",
    "address add fd99:1:2:3::1/64 dev brbyhand nodad",
    "link set brbyhand up",
    `tuntap add ${tap} mode tap vnet_hdr`,
    `link set ${tap} master brbyhand up`,
  ]);
  await forward(host, 1);
  await host.nft(
    `table inet byhand { chain postrouting { type nat hook postrouting priority srcnat; oifname "wire" ip saddr ${subnets.ipv4} masquerade; }; }`,
  );
  return {
    tap,
    macAddress: macAddressOf(vmId),
    bootArguments: [networkArgument(subnets, vmId, 2)],
    namespaces: { network: host.path, user: null },
  };
}

export async function removeBridgeByHand({ host }: Internet): Promise<void> {
  await host.ip(["link delete tapbyhand", "link delete brbyhand"]);
  await host.nft("delete table inet byhand");
  await forward(host, 0);
}

async function forward(host: Namespace, on: 0 | 1): Promise<void> {
  await host.run(["sysctl", "--quiet", "--write", `net.ipv4.ip_forward=${on}`, `net.ipv6.conf.all.forwarding=${on}`]);
}
