import assert from "node:assert/strict";
import {
  addresses,
  arp,
  broadcast,
  ethernet,
  frames,
  ipv4,
  ipv6,
  neighbourAdvertisement,
  ping,
  routerAdvertisement,
  Sniffer,
  tcp,
  tcpSyn,
  udp,
  udpDatagram,
} from "@workfort/testing";
import { assertLogged, gateway, gatewayMac, type Proof } from "./proof.ts";

const { shared } = addresses.places;
const madeUp = "02:de:ad:be:ef:01";
/** what the frames of these proofs say of themselves, so that they are known again */
const mark = "from another guest";

/** One guest beside another: no word passes between them, and nobody can pretend to be somebody else. */
export const neighbourProofs: readonly Proof[] = [
  {
    title:
      "no guest reaches another: TCP, UDP, ping, IPv6, frames to its MAC, broadcast, multicast, a router advertisement, by way of the gateway",
    prove: async ({ workplace, worker, stroller }) => {
      const sniffer = await Sniffer.start(workplace.daemon, worker.name);
      const [a, b] = [stroller.network, worker.network];
      const gatewayHas = await gatewayMac(stroller);
      await workplace.daemon.client.bytes("process.start", {
        params: { vm: worker.name },
        body: { argv: ["perl", "-e", listen] },
      });
      await worker.sh("until grep -q ':0FA0 ' /proc/net/tcp; do sleep 0.1; done");
      const outcomes = await stroller.tries(
        tcp(b.ipv4, 4000),
        tcp(b.ipv6, 4000),
        udp(b.ipv4, 4000, mark, 4_000),
        udp(b.ipv6, 4000, mark, 4_000),
        ping(b.ipv4, 4_000),
        ping(b.ipv6, 4_000),
      );
      for (const { what } of outcomes) assert.ok(what !== "connected" && what !== "answered", what);
      const to4 = ipv4({ from: a.ipv4, to: b.ipv4, protocol: 17, payload: udpDatagram(4000, mark) });
      const to6 = ipv6(a.ipv6, b.ipv6, 17, udpDatagram(4000, mark, { from: a.ipv6, to: b.ipv6 }));
      const toAll = ipv4({ from: a.ipv4, to: "255.255.255.255", protocol: 17, payload: udpDatagram(4000, mark) });
      const toSubnet = ipv4({ from: a.ipv4, to: "10.213.255.255", protocol: 17, payload: udpDatagram(4000, mark) });
      const toGroup = ipv6(a.ipv6, "ff02::1", 17, udpDatagram(4000, mark, { from: a.ipv6, to: "ff02::1" }));
      await stroller.try(
        frames(
          ethernet(a.macAddress, b.macAddress, "ipv4", to4),
          ethernet(a.macAddress, b.macAddress, "ipv6", to6),
          ethernet(a.macAddress, gatewayHas, "ipv4", to4),
          ethernet(a.macAddress, gatewayHas, "ipv6", to6),
          ethernet(a.macAddress, broadcast, "ipv4", toAll),
          ethernet(a.macAddress, broadcast, "ipv4", toSubnet),
          ethernet(a.macAddress, "33:33:00:00:00:01", "ipv6", toGroup),
          ethernet(
            a.macAddress,
            broadcast,
            "arp",
            arp("request", { mac: a.macAddress, ipv4: a.ipv4 }, { mac: "00:00:00:00:00:00", ipv4: b.ipv4 }),
          ),
        ),
      );
      const linkLocal = (await stroller.sh("awk '/ fe80| 20 /' /proc/net/if_inet6 | head -n 1 | cut -c 1-32")).trim();
      const own = (linkLocal.match(/.{4}/g) ?? []).join(":");
      await stroller.try(frames(ethernet(a.macAddress, "33:33:00:00:00:01", "ipv6", routerAdvertisement(own))));
      await worker.try(ping(gateway.ipv4)); // whatever was on its way is there by now
      const came = await sniffer.frames();
      await sniffer.stop();
      assert.ok(came.length > 0, "the sniffer hears its own guest");
      const foreign = came.filter(
        (frame) => frame.includes(Buffer.from(a.macAddress.replaceAll(":", ""), "hex")) || frame.includes(mark),
      );
      assert.deepEqual(
        foreign.map((frame) => frame.toString("hex")),
        [],
      );
    },
  },
  {
    title:
      "another's MAC or IP, a made-up one, or an ARP or neighbour answer for another or the gateway is dropped and logged",
    prove: async ({ workplace, worker, stroller }) => {
      const sniffer = await Sniffer.start(workplace.daemon, worker.name);
      const [a, b] = [stroller.network, worker.network];
      const gatewayHas = await gatewayMac(stroller);
      const after = await workplace.lastDenial();
      const syn = (from: string): Buffer =>
        ipv4({ from, to: shared.ipv4, protocol: 6, payload: tcpSyn({ from, to: shared.ipv4 }, 4000) });
      const from6 = (from: string): Buffer =>
        ipv6(from, shared.ipv6, 17, udpDatagram(4000, mark, { from, to: shared.ipv6 }));
      const claim = (address: string, mac: string): Buffer =>
        arp("reply", { mac, ipv4: address }, { mac: gatewayHas, ipv4: gateway.ipv4 });
      await workplace.internet.forget();
      await stroller.try(
        frames(
          ethernet(b.macAddress, gatewayHas, "ipv4", syn(b.ipv4)),
          ethernet(madeUp, gatewayHas, "ipv4", syn(a.ipv4)),
          ethernet(a.macAddress, gatewayHas, "ipv4", syn(b.ipv4)),
          ethernet(a.macAddress, gatewayHas, "ipv4", syn("10.213.99.99")),
          ethernet(a.macAddress, gatewayHas, "ipv4", syn("203.0.113.9")),
          ethernet(a.macAddress, gatewayHas, "ipv4", syn("127.0.0.1")),
          ethernet(a.macAddress, gatewayHas, "ipv6", from6(b.ipv6)),
          ethernet(a.macAddress, gatewayHas, "ipv6", from6("2001:db8:9::9")),
          ethernet(a.macAddress, gatewayHas, "arp", claim(b.ipv4, a.macAddress)),
          ethernet(a.macAddress, broadcast, "arp", claim(gateway.ipv4, a.macAddress)),
          ethernet(a.macAddress, b.macAddress, "arp", claim(gateway.ipv4, a.macAddress)),
          ethernet(
            a.macAddress,
            gatewayHas,
            "ipv6",
            neighbourAdvertisement(a.ipv6, gateway.ipv6, b.ipv6, a.macAddress),
          ),
          ethernet(
            a.macAddress,
            b.macAddress,
            "ipv6",
            neighbourAdvertisement(a.ipv6, b.ipv6, gateway.ipv6, a.macAddress),
          ),
        ),
      );
      const own = await stroller.try(tcp(shared.ipv4, 5432, { send: "hello", wanted: 5 }));
      assert.equal(own.text, "hello", "it still has its own network");
      const works = await worker.try(tcp(addresses.places.elsewhere.ipv4, 4000, { send: "hello", wanted: 5 }));
      assert.equal(works.text, "hello", "and so has the other");
      const arrived = await workplace.internet.arrivals();
      assert.deepEqual(
        arrived.filter(({ to, port }) => (to === shared.ipv4 && port === 4000) || to === shared.ipv6),
        [],
      );
      const foreign = (await sniffer.frames()).filter((frame) =>
        frame.includes(Buffer.from(a.macAddress.replaceAll(":", ""), "hex")),
      );
      await sniffer.stop();
      assert.deepEqual(
        foreign.map((frame) => frame.toString("hex")),
        [],
      );
      await assertLogged(stroller, after, { kind: "spoof" });
    },
  },
];

/** a server of the guest's own, which anybody could reach who gets there */
const listen = `use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, pack_sockaddr_in(4000, INADDR_ANY)) or exit; listen($s, 5); while (accept(my $c, $s)) { close $c }`;
