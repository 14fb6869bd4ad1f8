import assert from "node:assert/strict";
import { addresses, ethernet, fragments, frames, ping, tcp, udp, udpDatagram, type Guest } from "@workfort/testing";
import { assertLogged, assertUnseen, gateway, gatewayMac, refusals, type Proof, type Stage } from "./proof.ts";

const { shared, elsewhere, forbidden } = addresses.places;

/** Every address of the tested machine, those of its end of the uplink, too. */
async function hostAddresses({ workplace: { internet } }: Stage): Promise<string[]> {
  const links = JSON.parse(await internet.host.run(["ip", "-json", "address"])) as {
    addr_info: { local: string; scope: string }[];
  }[];
  return links.flatMap(({ addr_info: all }) => all.map(({ local }) => local));
}

/** What is closed in every mode, and what mode `open` is open for. */
export const closedProofs: readonly Proof[] = [
  {
    title: "mode open reaches the internet over IPv4 and IPv6, TCP, UDP and ping; mode allow does not",
    core: true,
    prove: async ({ workplace, worker, stroller }) => {
      const attempts = [
        tcp(forbidden.ipv4, 4000, { send: "hello", wanted: 5 }),
        tcp(forbidden.ipv6, 4000, { send: "hello", wanted: 5 }),
        udp(forbidden.ipv4, 4000, "hello"),
        udp(forbidden.ipv6, 4000, "hello"),
        ping(forbidden.ipv4),
        ping(forbidden.ipv6),
        tcp(forbidden.ipv4, 80, { send: "GET / HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n\r\n" }),
      ];
      const open = await stroller.tries(...attempts);
      for (const outcome of open) assert.ok(outcome.bytes.length > 0, JSON.stringify(outcome));
      const from = (await workplace.internet.outside.ask.seen()).map((seen) => seen.from);
      const own = [addresses.machine.ipv4, addresses.machine.ipv6];
      assert.ok(
        from.every((one) => own.includes(one)),
        `all comes from the machine's own address: ${from.join()}`,
      );
      await workplace.internet.forget();
      const after = await workplace.lastDenial();
      const closed = await worker.tries(...attempts.slice(0, 6));
      for (const { what } of closed.slice(0, 4)) assert.ok(refusals.includes(what), what);
      for (const { what } of closed.slice(4)) assert.notEqual(what, "answered");
      await assertUnseen(workplace, { to: [forbidden.ipv4, forbidden.ipv6] });
      await assertLogged(worker, after, { kind: "packet", address: forbidden.ipv4, protocol: "tcp", port: 4000 });
      await assertLogged(worker, after, { kind: "packet", address: forbidden.ipv4, protocol: "icmp" });
      await assertLogged(worker, after, { kind: "packet", address: forbidden.ipv6, protocol: "udp", port: 4000 });
    },
  },
  {
    title: "private ranges, shared address space, link-local and the metadata addresses are closed in every mode",
    core: true,
    prove: async ({ workplace, worker, stroller }) => {
      const after = await workplace.lastDenial();
      for (const guest of [worker, stroller]) {
        const outcomes = await guest.tries(
          ...addresses.closedPlaces.flatMap((place) => [tcp(place, 4000), tcp(place, 22), udp(place, 4000, "x")]),
          ...addresses.closedPlaces.map((place) => ping(place)),
        );
        const connections = outcomes.slice(0, -addresses.closedPlaces.length);
        for (const { what } of connections) assert.ok(refusals.includes(what), `${guest.name}: ${what}`);
        for (const { what } of outcomes) assert.ok(what !== "answered" && what !== "connected");
      }
      const web = await stroller.tries(...addresses.closedPlaces.map((place) => tcp(place, 80)));
      for (const { what } of web) assert.equal(what, "ECONNREFUSED");
      await assertUnseen(workplace, { to: addresses.closedPlaces });
      await assertLogged(stroller, after, { kind: "packet", address: "169.254.169.254", port: 80 });
    },
  },
  {
    title: "in mode allow the metadata address is closed on port 80 as well, by name and by address",
    prove: async ({ workplace, worker }) => {
      const outcomes = await worker.tries(
        tcp("169.254.169.254", 80, {
          send: "GET /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n",
        }),
        tcp("fd00:ec2::254", 80, {
          send: "GET /latest/ HTTP/1.1\r\nHost: [fd00:ec2::254]\r\nConnection: close\r\n\r\n",
        }),
      );
      for (const { text } of outcomes) assert.doesNotMatch(text, /^HTTP\/1\.1 200/);
      await assertUnseen(workplace, { to: addresses.closedPlaces });
    },
  },
  {
    title: "the host is closed: each of its addresses, the uplink's, loopback's, and the gateway's other ports",
    core: true,
    prove: async (stage) => {
      const { workplace, worker, stroller } = stage;
      const own = [...new Set([...(await hostAddresses(stage)), ...addresses.machineInside])];
      const reachable = own.filter((address) => !address.startsWith("127.") && address !== "::1");
      const targets = reachable.map((address) => (address.startsWith("fe80") ? `${address}%` : address));
      assert.ok(targets.length >= 6, targets.join());
      for (const guest of [worker, stroller]) {
        await workplace.internet.forget();
        const outcomes = await guest.tries(
          ...targets.flatMap((place) => [
            tcp(place, 22, { timeoutMs: 2_000 }),
            tcp(place, 11_434, { timeoutMs: 2_000 }),
          ]),
          ...targets.map((place) => udp(place, 4000, "x", 1_000)),
          ...[gateway.ipv4, gateway.ipv6].flatMap((place) => [
            tcp(place, 22),
            tcp(place, 8080),
            tcp(place, 10_080),
            udp(place, 123, "x"),
          ]),
        );
        for (const { what } of outcomes)
          assert.ok(what !== "connected" && what !== "answered", `${guest.name}: ${what}`);
        const { ipv4, ipv6 } = guest.network;
        const arrived = (await workplace.internet.arrivalsAtHost()).filter(({ to }) => own.includes(to));
        assert.deepEqual(
          arrived.filter(({ from, port }) => [ipv4, ipv6].includes(from) || [22, 4000, 11_434].includes(port ?? 0)),
          [],
        );
        assert.deepEqual(await workplace.internet.host.ask.seen(), []);
      }
    },
  },
  {
    title: "fragments are no way round: what is allowed comes together, what is not never arrives",
    prove: async ({ workplace, stroller, worker }) => {
      const packets = async (guest: Guest, to: string, id: number): Promise<Buffer[]> => {
        const mac = await gatewayMac(guest);
        const payload = udpDatagram(4000, "fragmented ".repeat(20));
        const fields = { from: guest.network.ipv4, to, protocol: 17, payload, id };
        const all = [
          fragments(fields, 64),
          fragments({ ...fields, id: id + 1 }, 8),
          fragments({ ...fields, id: id + 2 }, 64).toReversed(),
        ];
        return all.flat().map((packet) => ethernet(guest.network.macAddress, mac, "ipv4", packet));
      };
      const open = [elsewhere.ipv4, "10.9.9.9", "169.254.169.254"];
      const fromStroller = await Promise.all(open.map((to, index) => packets(stroller, to, 70 + 10 * index)));
      assert.equal((await stroller.try(frames(...fromStroller.flat()))).what, "sent");
      assert.equal((await worker.try(frames(...(await packets(worker, forbidden.ipv4, 70))))).what, "sent");
      // what was sent first has arrived when this has
      await stroller.try(udp(shared.ipv4, 4000, "last"));
      const seen = await workplace.internet.outside.ask.seen();
      assert.equal(seen.filter(({ address }) => address === elsewhere.ipv4).length, 3, JSON.stringify(seen));
      await assertUnseen(workplace, { to: [forbidden.ipv4, "10.9.9.9", "169.254.169.254"] });
    },
  },
  {
    title: "counters count what passed and what did not",
    prove: async ({ stroller }) => {
      const before = await stroller.counters();
      const ask = "GET /bytes/200000 HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n\r\n";
      const [page] = await stroller.tries(tcp(shared.ipv4, 80, { send: ask }), tcp("10.9.9.9", 22));
      assert.ok((page?.bytes.length ?? 0) > 200_000);
      const now = await stroller.counters();
      assert.ok(now.receivedBytes - before.receivedBytes > 200_000, JSON.stringify(now));
      assert.ok(now.sentBytes > before.sentBytes && now.sentPackets > before.sentPackets);
      assert.ok(now.deniedPackets > before.deniedPackets);
    },
  },
];
