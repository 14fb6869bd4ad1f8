import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "@workfort/testing";
import { dns, serveEcho, tcp, udp } from "../lab/ask.ts";
import { internet, Lab } from "../lab/lab.ts";
import { askedNames, serveNames, type ZoneEntry } from "../lab/servers.ts";

/** What our DNS tells, and what rules learn from it. */
let lab: Lab;
let server: string;
const [web, other] = internet.web;
const zone: Record<string, ZoneEntry> = {
  "good.example": { addresses: [web, internet.web6] },
  "other.example": { addresses: [other] },
  "sub.wild.example": { addresses: [web] },
  "wild.example": { addresses: [web] },
  "evilwild.example": { addresses: [web] },
  "rebound.example": { addresses: [web, internet.private, internet.metadata, "127.0.0.1", internet.private6] },
  "private.example": { addresses: [internet.private] },
  "mapped.example": { addresses: ["::ffff:192.168.77.1", "64:ff9b::a9fe:a9fe"] },
  "alias.example": { cname: "target.elsewhere.example" },
  "target.elsewhere.example": { addresses: [web] },
  "rebinding-alias.example": { cname: "private.example" },
  "loop.example": { cname: "loop2.example" },
  "loop2.example": { cname: "loop.example" },
  ...Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [`chain${index}.example`, { cname: `chain${index + 1}.example` }]),
  ),
  "chain30.example": { addresses: [web] },
  "huge.example": { addresses: Array.from({ length: 200 }, (_, index) => `198.51.100.${index}`) },
  "short.example": { addresses: [web], ttl: 1 },
  "long.example": { addresses: [web], ttl: 999_999 },
  "silent.example": { trick: "silent" },
  "garbage.example": { addresses: [web], trick: "garbage" },
  "wrong-id.example": { addresses: [web], trick: "wrong-id" },
  "wrong-name.example": { addresses: [web], trick: "wrong-name" },
  "half.example": { addresses: [web], trick: "half-message" },
  "failing.example": { addresses: [web], trick: "server-failure" },
  "stranger.example": { addresses: [web], trick: "stranger-first" },
  "text.example": { other: [{ type: 16, data: "0568656c6c6f" }] },
  // HTTPS 1 . alpn=h2 ech=…
  "ech.example": {
    addresses: [web],
    other: [{ type: 65, data: "00010000010003026832000500041122334400040004c633640a" }],
  },
  "dns.google": { addresses: ["8.8.8.8"] },
};

before(async () => {
  lab = await Lab.make();
  await serveNames(lab.internet, internet.ipv4, zone);
  await serveEcho(
    lab.internet,
    [web, other, internet.web6, internet.private].flatMap((address) => [22, 7000].map((port) => ({ address, port }))),
  );
  await lab.put({ services: [{ name: "mirror", port: 8080, socket: lab.socket("mirror") }] });
  server = lab.state.ipv4.gateway;
});
after(async () => {
  assert.equal(lab.gateway.errors, "");
  await lab.remove();
});

test("open asks for every name, by both families and by UDP and TCP", async () => {
  const { inside } = await lab.guest({ mode: "open" });
  for (const server of [lab.state.ipv4.gateway, lab.state.ipv6.gateway])
    for (const tcp of [false, true]) {
      assert.deepEqual((await dns(inside, { server, name: "GOOD.example", tcp }))?.addresses, [web]);
      assert.deepEqual((await dns(inside, { server, name: "good.example", type: 28, tcp }))?.addresses, [
        internet.web6,
      ]);
      assert.equal((await dns(inside, { server, name: "missing.example", tcp }))?.responseCode, 3);
    }
  assert.match((await dns(inside, { server, name: "text.example", type: 16 }))?.text ?? "", /hello/);
});

test("allow asks for the names of its entries alone; of others nobody outside hears", async () => {
  const { inside, vm } = await lab.guest({ mode: "allow", allow: ["good.example", "*.wild.example"] });
  await askedNames(lab.internet);
  assert.deepEqual((await dns(inside, { server, name: "good.example" }))?.addresses, [web]);
  assert.deepEqual((await dns(inside, { server, name: "sub.wild.example" }))?.addresses, [web]);
  for (const name of ["wild.example", "evilwild.example", "other.example", "secret.good.example", "dns.google"]) {
    const told = await dns(inside, { server, name, edns: 1232 });
    assert.equal(told?.responseCode, 3, name);
    assert.match(told?.text ?? "", /not allowed by the VM's network policy/);
  }
  const asked = await askedNames(lab.internet);
  assert.deepEqual(
    asked.filter((line) => !/^(good|sub\.wild)\.example /.test(line)),
    [],
  );
  const denials = await lab.gateway.denials(vm.id);
  assert.deepEqual(
    denials.map(({ kind, name }) => `${kind} ${name}`),
    ["wild", "evilwild", "other", "secret.good"].map((name) => `dns ${name}.example`).concat("dns dns.google"),
  );
});

test("none refuses every name", async () => {
  const { inside } = await lab.guest({ mode: "none" });
  assert.equal((await dns(inside, { server, name: "good.example" }))?.responseCode, 5);
});

test("a name must not lead into private networks, and that it wanted to is told", async () => {
  const { inside, vm } = await lab.guest({ mode: "open" });
  assert.deepEqual((await dns(inside, { server, name: "rebound.example" }))?.addresses, [web]);
  for (const name of ["private.example", "rebinding-alias.example"])
    assert.deepEqual((await dns(inside, { server, name }))?.addresses, [], name);
  for (const name of ["mapped.example", "rebound.example"])
    assert.deepEqual((await dns(inside, { server, name, type: 28 }))?.addresses, [], name);
  const denials = await lab.gateway.denials(vm.id);
  for (const address of [internet.private, internet.metadata, internet.private6, "127.0.0.1", "::ffff:c0a8:4d01"])
    assert.ok(
      denials.some((denial) => denial.kind === "dns" && denial.address === address),
      address,
    );
});

test("an address entry lets a name lead there", async () => {
  const { inside } = await lab.guest({ mode: "allow", allow: ["private.example", `${internet.private}:7000`] });
  assert.deepEqual((await dns(inside, { server, name: "private.example" }))?.addresses, [internet.private]);
  assert.match(await tcp(inside, { address: internet.private, port: 7000 }), /^192\.168\.77\.1:7000 /);
});

test("of a chain of CNAMEs the name that was asked for counts; loops and endless ones fail", async () => {
  const { inside } = await lab.guest({
    mode: "allow",
    allow: ["alias.example:7000", "loop.example", "chain0.example"],
  });
  assert.equal(await tcp(inside, { address: web, port: 7000 }), "ECONNREFUSED");
  const told = await dns(inside, { server, name: "alias.example" });
  assert.deepEqual([told?.addresses, told?.types], [[web], [5, 1]]);
  assert.match(await tcp(inside, { address: web, port: 7000 }), /^198\.51\.100\.10:7000 /);
  assert.equal((await dns(inside, { server, name: "target.elsewhere.example" }))?.responseCode, 3);
  for (const name of ["loop.example", "chain0.example"])
    assert.equal((await dns(inside, { server, name }))?.responseCode, 2, name);
});

test("what a name leads to is open on its entry's ports once the guest has the answer, and never before", async () => {
  const allow = ["good.example:22", "good.example:6990-7010/udp", "other.example:7000"];
  const { inside, vm } = await lab.guest({ mode: "allow", allow });
  for (const address of [web, internet.web6]) assert.equal(await tcp(inside, { address, port: 22 }), "ECONNREFUSED");
  await dns(inside, { server, name: "good.example" });
  await dns(inside, { server, name: "good.example", type: 28 });
  for (const address of [web, internet.web6]) {
    assert.match(await tcp(inside, { address, port: 22 }), /:22 to/);
    assert.equal(await udp(inside, { address, port: 7000, send: "hi" }), "hi");
    assert.equal(await tcp(inside, { address, port: 7000 }), "ECONNREFUSED");
  }
  assert.equal(await tcp(inside, { address: other, port: 7000 }), "ECONNREFUSED");
  const refused = await eventually(
    async () => (await lab.gateway.denials(vm.id)).filter(({ kind, port }) => kind === "packet" && port === 7000),
    (denials) => denials.length >= 3,
  );
  assert.deepEqual(
    [...new Set(refused.map(({ name, address, protocol }) => `${name} ${address} ${protocol}`))].toSorted(),
    [`good.example ${internet.web6} tcp`, `good.example ${web} tcp`, `null ${other} tcp`].toSorted(),
  );
});

test("an address stays open for at least half a minute, however short the answer says", async () => {
  const { inside, vm } = await lab.guest({ mode: "allow", allow: ["short.example:22"] });
  assert.equal((await dns(inside, { server, name: "short.example" }))?.ttl, 1);
  const set = await lab.workplace.tool("nft", "list", "set", "inet", "workfort", "names4");
  assert.match(set, new RegExp(`${vm.ipv4} \\. 198\\.51\\.100\\.10 \\. 0x0*1 timeout (4\\d|3\\d)s`));
});

test("no answer holds for longer than an hour", async () => {
  const { inside } = await lab.guest({ mode: "open" });
  assert.equal((await dns(inside, { server, name: "long.example" }))?.ttl, 3600);
});

test("an answer that is too large for a datagram says so, and comes whole by TCP", async () => {
  const { inside } = await lab.guest({ mode: "open" });
  for (const edns of [undefined, 1232, 65_535]) {
    const cut = await dns(inside, { server, name: "huge.example", ...(edns === undefined ? {} : { edns }) });
    assert.deepEqual([cut?.truncated, cut?.addresses], [true, []]);
  }
  assert.equal((await dns(inside, { server, name: "huge.example", tcp: true }))?.addresses.length, 200);
});

test("servers that fail, lie or say nothing give no answer, and harm no other one", async () => {
  const { inside } = await lab.guest({ mode: "open" });
  const bad = ["garbage", "wrong-id", "wrong-name", "half", "failing", "silent"].map((name) => `${name}.example`);
  const [told, good] = await Promise.all([
    Promise.all(bad.map(async (name) => (await dns(inside, { server, name }))?.responseCode)),
    dns(inside, { server, name: "stranger.example" }),
  ]);
  assert.deepEqual(
    told,
    bad.map(() => 2),
  );
  assert.deepEqual(good?.addresses, [web]);
});

test("answers are held for their time, and questions that wait for the same one are one", async () => {
  const { inside } = await lab.guest({ mode: "open" });
  await askedNames(lab.internet);
  const name = "sub.wild.example";
  await lab.put({ dnsServers: [`${internet.ipv4}:53`] }); // what was held is forgotten
  await Promise.all(Array.from({ length: 20 }, () => dns(inside, { server, name })));
  await dns(inside, { server, name });
  assert.deepEqual(await askedNames(lab.internet), [`${name} 1`]);
  await lab.put({ dnsServers: [internet.ipv4] });
});

test("a policy that refuses ECH takes what it needs out of answers", async () => {
  const accepting = await lab.guest({ mode: "allow", allow: ["ech.example"] });
  const refusing = await lab.guest({ mode: "allow", allow: ["ech.example"], encryptedClientHello: "refuse" });
  const [kept, stripped] = await Promise.all(
    [accepting, refusing].map(({ inside }) => dns(inside, { server, name: "ech.example", type: 65 })),
  );
  assert.ok(kept?.text.includes("\x11\x22\x33\x44"));
  assert.ok(stripped?.text.includes("\x02h2") === true && stripped.text.includes("\xc6\x33\x64\x0a"));
  assert.ok(!stripped?.text.includes("\x11\x22\x33\x44"));
});

test("the workplace's own names: the gateway, the services that a policy names, and the guest's own in reverse", async () => {
  const one = await lab.guest({ mode: "none", services: ["mirror"] });
  const other = await lab.guest({ mode: "open" });
  const name = "mirror.workfort.internal";
  assert.deepEqual((await dns(one.inside, { server, name }))?.addresses, [server]);
  assert.deepEqual((await dns(one.inside, { server, name, type: 28 }))?.addresses, [lab.state.ipv6.gateway]);
  assert.equal((await dns(other.inside, { server, name }))?.responseCode, 3);
  assert.deepEqual((await dns(other.inside, { server, name: "gateway.workfort.internal" }))?.addresses, [server]);
  const reverse = (address: string): string => `${address.split(".").toReversed().join(".")}.in-addr.arpa`;
  const own = await dns(one.inside, { server, name: reverse(one.vm.ipv4), type: 12 });
  assert.match(own?.text ?? "", new RegExp(one.vm.name));
  assert.equal((await dns(one.inside, { server, name: reverse(other.vm.ipv4), type: 12 }))?.responseCode, 3);
  assert.equal((await dns(other.inside, { server, name: reverse("192.168.77.1"), type: 12 }))?.responseCode, 3);
});

test("a guest that asks for ever new names is told that it asks too much; what is held it is told on, and others anything", async () => {
  const asking = await lab.guest({ mode: "open" });
  const calm = await lab.guest({ mode: "open" });
  const held = { server, name: "good.example" };
  assert.deepEqual((await dns(asking.inside, held))?.addresses, [web]);
  const codes = await Promise.all(
    Array.from({ length: 20 }, async (_, lane) => {
      const seen = new Set<number | undefined>();
      for (let count = 0; count < 100; count += 1)
        seen.add((await dns(asking.inside, { server, name: `x${lane}-${count}.example` }))?.responseCode);
      return seen;
    }),
  );
  const all = codes.reduce((one, other) => one.union(other));
  assert.deepEqual(all, new Set([3, 2]), "no such name, until it is told that it asks too much");
  assert.deepEqual((await dns(asking.inside, held))?.addresses, [web]);
  assert.equal((await dns(calm.inside, { server, name: "another.example" }))?.responseCode, 3);
});

test("questions that are none get none, and a flood of them costs the others nothing", async () => {
  const flooding = await lab.guest({ mode: "open" });
  const calm = await lab.guest({ mode: "open" });
  assert.equal((await dns(calm.inside, { server, name: "good.example", type: 255 }))?.responseCode, 5);
  assert.equal((await dns(calm.inside, { server, name: "good.example", type: 252, tcp: true }))?.responseCode, 5);
  await flooding.inside.run(async ({ dgram }, server) => {
    const socket = dgram.createSocket("udp4");
    for (let count = 0; count < 20_000; count += 1) {
      const bytes = Buffer.alloc(1 + (count % 300), count);
      await new Promise((sent) => socket.send(bytes, 53, server, sent));
    }
    socket.close();
  }, server);
  assert.deepEqual((await dns(calm.inside, { server, name: "good.example" }))?.addresses, [web]);
});
