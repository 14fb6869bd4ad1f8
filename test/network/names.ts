import assert from "node:assert/strict";
import { addresses, echo, readAnswer, tcp, udp, writeQuestion } from "@workfort/testing";
import {
  addressesIn,
  answerOf,
  ask,
  assertLogged,
  assertUnseen,
  gateway,
  lookUp,
  refusals,
  type Proof,
} from "./proof.ts";

const { shared, elsewhere, database, datagrams, foreignResolver } = addresses.places;

/** the code of "Blocked" (RFC 8914) */
const blocked = 15;

/** Our DNS: what it answers to whom, and that there is no other. */
export const nameProofs: readonly Proof[] = [
  {
    title: "a guest is told of our DNS, and gets the addresses of the names that its policy allows",
    core: true,
    prove: async ({ worker, stroller }) => {
      assert.match(await worker.sh("cat /etc/resolv.conf"), new RegExp(`^nameserver ${gateway.ipv4}$`, "m"));
      const [four, six, overSix, below] = await worker.tries(
        ask("allowed.test"),
        ask("Allowed.TEST", "AAAA"),
        ask("allowed.test", "A", gateway.ipv6),
        ask("nothing.below.test"),
      );
      assert.ok(four && six && overSix && below);
      assert.deepEqual(addressesIn(answerOf(four)), [shared.ipv4]);
      assert.deepEqual(addressesIn(answerOf(six)), [shared.ipv6]);
      assert.deepEqual(addressesIn(answerOf(overSix)), [shared.ipv4]);
      assert.equal(answerOf(below).code, 3, "a name that is not there");
      assert.deepEqual(addressesIn(await lookUp(stroller, "forbidden.test")), [shared.ipv4], "mode open asks for all");
    },
  },
  {
    title: "a name that the policy does not allow is answered with NXDOMAIN and why, is logged, and nobody is asked",
    core: true,
    prove: async ({ workplace, worker }) => {
      const after = await workplace.lastDenial();
      const answer = await lookUp(worker, "secrets-in-a-name.forbidden.test");
      assert.deepEqual([answer.code, answer.extendedError], [3, blocked]);
      await assertLogged(worker, after, { kind: "dns", name: "secrets-in-a-name.forbidden.test" });
      const queries = await workplace.internet.outside.ask.queries();
      assert.deepEqual(
        queries.filter(({ name }) => /forbidden/i.test(name)),
        [],
        "names are a way out only for who answers them",
      );
    },
  },
  {
    title: "a name with a port of its own opens its addresses on that port, once it has been asked for, and no other",
    prove: async ({ workplace, worker }) => {
      await workplace.internet.setPlace("db.test", database);
      const after = await workplace.lastDenial();
      const early = await worker.try(echo(database.ipv4, 5432));
      assert.equal(early.what, "ECONNREFUSED", "nobody has asked for the name");
      assert.deepEqual(addressesIn(await lookUp(worker, "db.test")), [database.ipv4]);
      assert.deepEqual(addressesIn(await lookUp(worker, "db.test", "AAAA")), [database.ipv6]);
      const [four, six, port, protocol] = await worker.tries(
        echo(database.ipv4, 5432),
        echo(database.ipv6, 5432),
        echo(database.ipv4, 4000),
        udp(database.ipv4, 4000, "hello"),
      );
      assert.deepEqual([four?.text, six?.text], ["hello", "hello"]);
      assert.ok(
        refusals.includes(port?.what ?? "") && refusals.includes(protocol?.what ?? ""),
        JSON.stringify(protocol),
      );
      await assertUnseen(workplace, { to: [database.ipv4, database.ipv6], port: 4000 });
      await assertLogged(worker, after, { kind: "packet", address: database.ipv4, port: 4000, name: "db.test" });
    },
  },
  {
    title: "a name with a UDP port opens that",
    prove: async ({ workplace, worker }) => {
      await workplace.internet.setPlace("datagrams.test", datagrams);
      await lookUp(worker, "datagrams.test");
      const [answered, connection] = await worker.tries(udp(datagrams.ipv4, 4000, "hello"), echo(datagrams.ipv4, 4000));
      assert.deepEqual([answered?.text, connection?.what], ["hello", "ECONNREFUSED"]);
    },
  },
  {
    title:
      "rebinding: a private, metadata or host's own address in an answer never reaches the guest, nor a connection it",
    prove: async ({ workplace, worker, stroller }) => {
      const { internet } = workplace;
      const inside = ["10.9.9.9", "169.254.169.254", "127.0.0.1", addresses.machine.ipv4, "0.0.0.0", gateway.ipv4];
      const mapped = ["::ffff:a09:909", "64:ff9b::a09:909", "fd00:ec2::254", "fe80::1", "::1", addresses.machine.ipv6];
      const records = [
        ...inside.map((data) => ({ type: "A", data }) as const),
        ...mapped.map((data) => ({ type: "AAAA", data }) as const),
        { type: "A", data: shared.ipv4 } as const,
      ];
      await internet.setName("inside.below.test", { records });
      const after = await workplace.lastDenial();
      for (const guest of [worker, stroller]) {
        assert.deepEqual(addressesIn(await lookUp(guest, "inside.below.test")), [shared.ipv4], guest.name);
        assert.deepEqual(addressesIn(await lookUp(guest, "inside.below.test", "AAAA")), [], guest.name);
      }
      await assertLogged(worker, after, { kind: "dns", name: "inside.below.test" });
      // first public, then private: what our DNS said at first does not count later
      await internet.setName(
        "turning.below.test",
        { records: [{ type: "A", data: shared.ipv4, ttl: 0 }] },
        { records: [{ type: "A", data: "169.254.169.254", ttl: 0 }] },
      );
      assert.deepEqual(addressesIn(await lookUp(worker, "turning.below.test")), [shared.ipv4]);
      const [turned] = await worker.tries(
        tcp(shared.ipv4, 80, { send: "GET / HTTP/1.1\r\nHost: turning.below.test\r\nConnection: close\r\n\r\n" }),
      );
      assert.doesNotMatch(turned?.text ?? "", /^HTTP\/1.1 200/);
      await assertUnseen(workplace, { to: ["169.254.169.254", "10.9.9.9"] });
    },
  },
  {
    title: "a chain of aliases from an allowed name is followed; the name at its end is not thereby allowed",
    prove: async ({ workplace, worker }) => {
      await workplace.internet.setName("cdn.below.test", {
        records: [
          { type: "CNAME", data: "edge.provider.test" },
          { name: "edge.provider.test", type: "CNAME", data: "node.provider.test" },
          { name: "node.provider.test", type: "A", data: elsewhere.ipv4 },
        ],
      });
      await workplace.internet.setPlace("node.provider.test", elsewhere);
      assert.deepEqual(addressesIn(await lookUp(worker, "cdn.below.test")), [elsewhere.ipv4]);
      assert.equal((await lookUp(worker, "node.provider.test")).code, 3);
    },
  },
  {
    title: "a time to live of nothing or of a year is bounded, and a huge answer comes whole over TCP or not at all",
    prove: async ({ workplace, worker }) => {
      const { internet } = workplace;
      await internet.setName("year.below.test", { records: [{ type: "A", data: shared.ipv4, ttl: 31_536_000 }] });
      const [year] = (await lookUp(worker, "year.below.test")).records;
      assert.ok((year?.ttl ?? Infinity) <= 3600, `an hour at most, not ${year?.ttl} s`);
      const many = Array.from({ length: 200 }, (_, index) => ({ type: "A", data: `198.51.100.${index + 1}` }) as const);
      await internet.setName("huge.below.test", { records: many });
      const huge = await lookUp(worker, "huge.below.test");
      assert.ok(huge.truncated || addressesIn(huge).length > 0, "it says that there is more, or has some");
      const question = writeQuestion({ id: 5, name: "huge.below.test", type: "A" });
      const length = Buffer.from([0, question.length]);
      const whole = await worker.try(tcp(gateway.ipv4, 53, { send: Buffer.concat([length, question]), wanted: 200 }));
      assert.equal(whole.what, "connected");
      assert.ok(addressesIn(readAnswer(whole.bytes.subarray(2))).length > 0);
    },
  },
  {
    title: "a resolver that lies, mumbles, cuts off or is silent harms nobody: no made-up address, and names go on",
    prove: async ({ workplace, worker }) => {
      const records = [{ type: "A", data: elsewhere.ipv4 } as const];
      const faults = ["wrong-id", "wrong-question", "garbage", "cut", "loop", "silent"] as const;
      for (const fault of faults) await workplace.internet.setName(`${fault}.below.test`, { records, fault });
      const outcomes = await worker.tries(...faults.map((fault) => ask(`${fault}.below.test`)));
      for (const [index, outcome] of outcomes.entries()) {
        const lied = outcome.what === "answered" ? addressesIn(readAnswer(outcome.bytes)) : [];
        assert.deepEqual(lied, [], faults[index] ?? "");
      }
      await workplace.internet.setName("stream.below.test", { records, fault: "tcp-only" });
      assert.deepEqual(addressesIn(await lookUp(worker, "stream.below.test")), [elsewhere.ipv4]);
      assert.deepEqual(addressesIn(await lookUp(worker, "www.allowed.test")), [shared.ipv4]);
    },
  },
  {
    title: "DNS anywhere else is closed in every mode: plain, over TLS and over HTTPS, by address and by name",
    core: true,
    prove: async ({ workplace, worker, stroller }) => {
      const question = writeQuestion({ id: 6, name: "forbidden.test", type: "A" });
      const resolvers = [addresses.resolver.ipv4, foreignResolver.ipv4, foreignResolver.ipv6, "8.8.8.8", "1.1.1.1"];
      for (const guest of [worker, stroller]) {
        const after = await workplace.lastDenial();
        await workplace.internet.forget();
        const outcomes = await guest.tries(
          ...resolvers.flatMap((at) => [udp(at, 53, question), tcp(at, 53), tcp(at, 853)]),
          tcp("8.8.8.8", 443, { send: "x", wanted: 1 }),
          tcp("2606:4700:4700::1111", 443, { send: "x", wanted: 1 }),
        );
        for (const outcome of outcomes.slice(0, -2))
          assert.ok(refusals.includes(outcome.what), JSON.stringify(outcome));
        assert.equal((await lookUp(guest, "dns.google")).code, 3, "its name is not known here");
        const seen = [
          ...(await workplace.internet.outside.ask.queries()),
          ...(await workplace.internet.outside.ask.seen()),
        ];
        assert.deepEqual(
          seen.filter((one) => "transport" in one && one.name === "forbidden.test"),
          [],
        );
        await assertUnseen(workplace, {
          to: [foreignResolver.ipv4, foreignResolver.ipv6, ...addresses.knownResolvers],
        });
        await assertLogged(guest, after, { kind: "packet", address: foreignResolver.ipv4, port: 853 });
        await assertLogged(guest, after, { kind: "dns", name: "dns.google" });
      }
    },
  },
];
