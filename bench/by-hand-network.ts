import { runTool } from "@workfort/host/process/run.ts";
import { eventually, type Guest, type Internet, type Namespace } from "@workfort/testing";

/**
 * A bridge and NAT on the tested machine, as one makes them by hand, for a VM that is plugged over to it: the bridge has
 * the addresses of WorkFort's, so that the guest sees no difference but the time that it takes.
 */
export class BridgeByHand {
  readonly #host: Namespace;
  readonly #tap: string;
  readonly #macAddress: string;
  readonly #vmmPid: number;
  #isPlugged = false;

  private constructor(host: Namespace, guest: Guest, vmmPid: number) {
    this.#host = host;
    this.#tap = guest.network.tap;
    this.#macAddress = guest.network.macAddress;
    this.#vmmPid = vmmPid;
  }

  static async make({ host }: Internet, guest: Guest): Promise<BridgeByHand> {
    const { running } = await guest.daemon.client.call("vm.get", { params: { vm: guest.name } });
    if (running === null) throw new Error(`${guest.name} does not run`);
    const made = new BridgeByHand(host, guest, running.pid);
    const there = JSON.parse(await made.#within(["ip", "-json", "address", "show", "dev", "nexbr0"])) as Found[];
    const addresses = there.flatMap(({ addr_info: infos }) => infos.filter(({ scope }) => scope === "global"));
    await host.ip([
      `link add brbyhand address ${there[0]?.address} type bridge`,
      ...addresses.map(
        ({ local, prefixlen }) =>
          `address add ${local}/${prefixlen} dev brbyhand${local.includes(":") ? " nodad" : ""}`,
      ),
      `address add ${mark}/32 dev brbyhand`,
      "link set brbyhand addrgenmode none up",
      // with one port or the other it is never down, so that the host's addresses stay what they are
      "link add portbyhand type veth peer name portbyhand2",
      "link set portbyhand2 addrgenmode none up",
      "link set portbyhand master brbyhand addrgenmode none up",
    ]);
    await forward(host, 1);
    await host.nft(
      'table inet byhand { chain postrouting { type nat hook postrouting priority srcnat; iifname "brbyhand" oifname "wire" masquerade; }; }',
    );
    // WorkFort sees that the host has new addresses, and looks after its taps once more: before one is taken from it
    await eventually(
      () => made.#within(["nft", "list", "set", "inet", "workfort", "closed4"]),
      (set) => set.includes(mark),
    );
    return made;
  }

  /** From here on the guest's interface ends at this bridge. */
  async plug(): Promise<void> {
    if (this.#isPlugged) return;
    await this.#within(["ip", "link", "set", "dev", this.#tap, "netns", String(this.#host.pid)]);
    await this.#host.ip([`link set ${this.#tap} master brbyhand up`]);
    this.#isPlugged = true;
  }

  /** Gives it back to WorkFort's bridge, as it was there. */
  async unplug(): Promise<void> {
    if (!this.#isPlugged) return;
    const tap = this.#tap;
    await this.#host.run(["ip", "link", "set", "dev", tap, "netns", String(this.#vmmPid)]);
    const slave = "isolated on learning off flood off mcast_flood off bcast_flood off";
    await this.#within(["ip", "link", "set", "dev", tap, "master", "nexbr0", "addrgenmode", "none"]);
    await this.#within(["ip", "link", "set", "dev", tap, "type", "bridge_slave", ...slave.split(" ")]);
    await this.#within(["ip", "link", "set", "dev", tap, "up"]);
    await this.#within(["bridge", "fdb", "replace", this.#macAddress, "dev", tap, "master", "static"]);
    this.#isPlugged = false;
  }

  async remove(): Promise<void> {
    await this.unplug();
    await this.#host.ip(["link delete portbyhand", "link delete brbyhand"]);
    await this.#host.nft("delete table inet byhand");
    await forward(this.#host, 0);
  }

  /** Runs a command in the namespace of WorkFort's bridge. */
  async #within(argv: readonly string[]): Promise<string> {
    const { stdout } = await runTool(["nsenter", `--net=/proc/${this.#vmmPid}/ns/net`, "--", ...argv]);
    return stdout;
  }
}

/** an address of the bridge by hand alone, in no range that is closed anyway */
const mark = "11.99.0.1";

/** of `ip -json address` */
interface Found {
  address: string;
  addr_info: { scope: string; local: string; prefixlen: number }[];
}

async function forward(host: Namespace, on: 0 | 1): Promise<void> {
  await host.run(["sysctl", "--quiet", "--write", `net.ipv4.ip_forward=${on}`, `net.ipv6.conf.all.forwarding=${on}`]);
}
