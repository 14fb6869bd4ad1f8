import assert from "node:assert/strict";
import { test } from "node:test";
import { AllowEntry, openPolicy, policyPresets, presetNames, type NetworkPolicy } from "@workfort/contract";
import * as fc from "fast-check";
import { closedRanges } from "../../../src/network/closed-ranges.ts";
import { contains, formatAddress, parseAddress } from "../../../src/network/ip.ts";
import { CompiledPolicy } from "../../../src/network/policy.ts";
import { hasPort } from "../../../src/network/ports.ts";

const closed = closedRanges(["10.213.0.0/16", "fd5f:2113:61c5::/64", "203.0.113.2"]);
const compiled = (policy: Partial<NetworkPolicy>): CompiledPolicy =>
  new CompiledPolicy({ ...openPolicy, ...policy }, closed);
const allowing = (...allow: string[]): CompiledPolicy => compiled({ mode: "allow", allow });

const label = fc.stringMatching(/^[a-z0-9_](?:[a-z0-9_-]{0,10}[a-z0-9_])?$/);
const domain = fc
  .tuple(fc.array(label, { minLength: 1, maxLength: 4 }), fc.stringMatching(/^[a-z]{2,6}$/))
  .map(([labels, top]) => [...labels, top].join("."));
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array).toString("latin1"));
const ipv4 = fc.ipV4();
const port = fc.integer({ min: 1, max: 65_535 }).filter((port) => port !== 53 && port !== 853);

test("a name is allowed as it is spelled in DNS: any case, a dot at the end, and on 80 and 443 alone", () => {
  fc.assert(
    fc.property(domain, (name) => {
      const policy = allowing(name);
      for (const spelled of [name, name.toUpperCase(), `${name}.`])
        for (const port of [80, 443]) assert.equal(policy.allowsName(spelled, port, "tcp"), true);
      assert.equal(policy.allowsName(name, 443, "udp"), false);
      assert.equal(policy.allowsName(name, 22, "tcp"), false);
      assert.equal(policy.asksName(name), true);
      assert.equal(policy.allowsName(`x.${name}`, 443, "tcp"), false);
    }),
  );
});

test("a wildcard stands for every name below, not for its own, nor for one that only ends alike", () => {
  fc.assert(
    fc.property(domain, label, label, (name, one, two) => {
      const policy = allowing(`*.${name}`);
      assert.equal(policy.allowsName(`${one}.${name}`, 443, "tcp"), true);
      assert.equal(policy.allowsName(`${two}.${one}.${name}`, 443, "tcp"), true);
      for (const other of [name, `${one}${name}`, `${one}-${name}`, `${one}.${name}.${two}`, `.${name}`, `*.${name}`])
        assert.equal(policy.allowsName(other, 443, "tcp"), false, other);
    }),
  );
});

test("ports of an entry are those and no others; without a protocol they are of TCP", () => {
  fc.assert(
    fc.property(domain, port, port, fc.constantFrom("", "/tcp", "/udp"), (name, first, last, protocol) => {
      fc.pre(first <= last);
      const policy = allowing(`${name}:${first}-${last}${protocol}`);
      for (const port of [first - 1, first, last, last + 1].filter((port) => port > 0 && port !== 53 && port !== 853)) {
        const within = first <= port && port <= last;
        assert.equal(policy.allowsName(name, port, "tcp"), within && protocol !== "/udp");
        assert.equal(policy.allowsName(name, port, "udp"), within && protocol === "/udp");
      }
    }),
  );
});

test("DNS of others is closed whatever a policy says", () => {
  const policy = allowing("0.0.0.0/0", "::/0", "example.com:1-65535", "example.com:53/udp", "9.9.9.9:53/udp");
  for (const port of [53, 853])
    for (const protocol of ["tcp", "udp"] as const) {
      assert.equal(policy.allowsAddress("9.9.9.9", port, protocol), false);
      assert.equal(policy.allowsName("example.com", port, protocol), false);
      assert.equal(compiled({}).allowsAddress("9.9.9.9", port, protocol), false);
    }
});

test("resolvers over HTTPS are closed by name and address until somebody names them", () => {
  const open = compiled({});
  assert.equal(open.asksName("dns.google"), false);
  assert.equal(open.allowsAddress("8.8.8.8", 443, "tcp"), false);
  assert.equal(open.allowsAddress("8.8.8.8", 443, "udp"), false);
  assert.equal(open.allowsAddress("8.8.8.8", 80, "tcp"), true);
  assert.equal(open.allowsAddress("2606:4700:4700::1111", 443, "tcp"), false);
  assert.equal(allowing("*.google").allowsName("dns.google", 443, "tcp"), false);
  assert.equal(allowing("dns.google").allowsName("dns.google", 443, "tcp"), true);
  assert.equal(allowing("8.8.8.8").allowsAddress("8.8.8.8", 443, "tcp"), true);
});

test("what is no public address is closed, until an address entry names it", () => {
  const examples = [
    ["10.0.0.1", "192.168.1.1", "172.31.255.255", "100.64.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"],
    ["255.255.255.255", "203.0.113.2", "10.213.0.1", "::", "::1", "fd00:ec2::254", "fe80::1", "ff02::1", "2002::1"],
    ["64:ff9b::a00:1", "::ffff:10.0.0.1", "::ffff:8.8.4.5", "2001:0:1::1", "fd5f:2113:61c5::2"],
  ].flat();
  for (const address of examples) {
    assert.equal(compiled({}).allowsAddress(address, 80, "tcp"), false, address);
    assert.equal(compiled({}).admitsAnswer(address), false, address);
    assert.equal(allowing("example.com").admitsTarget(address, 443), false, address);
    const named = allowing(address);
    assert.equal(named.allowsAddress(address, 80, "tcp"), true, address);
    assert.equal(named.admitsAnswer(address), true, address);
  }
  for (const address of ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "1.2.3.4", "2a00::1"])
    assert.equal(compiled({}).allowsAddress(address, 80, "tcp"), true, address);
});

test("odd spellings of addresses are neither addresses nor names", () => {
  const spellings = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "1.2.3.4.5", "0x7f.1", "a.0x1"];
  const policy = allowing("0.0.0.0/0", "*.1", "*.0x1");
  for (const text of [...spellings, "01.2.3.4", "256.1.1.1", "1.2.3", ":::", "1::2::3", "fe80::1%eth0", "[::1]", ""]) {
    assert.equal(parseAddress(text), null, text);
    assert.equal(policy.allowsName(text, 443, "tcp"), false, text);
    assert.equal(policy.allowsAddress(text, 443, "tcp"), false, text);
    assert.equal(compiled({}).allowsName(text, 443, "tcp"), false, text);
  }
});

test("an address reads and writes as itself", () => {
  fc.assert(
    fc.property(fc.oneof(ipv4, fc.ipV6()), (text) => {
      const address = parseAddress(text);
      assert.ok(address !== null, text);
      assert.deepEqual(parseAddress(formatAddress(address)), address);
    }),
  );
  assert.equal(formatAddress(parseAddress("2001:DB8:0:0:0:0:0:1")!), "2001:db8::1");
  assert.equal(formatAddress(parseAddress("::ffff:1.2.3.4")!), "::ffff:102:304");
  assert.equal(formatAddress(parseAddress("1:0:0:2:0:0:0:3")!), "1:0:0:2::3");
});

test("none allows nothing, whatever its entries say", () => {
  const policy = compiled({ mode: "none", allow: ["example.com", "0.0.0.0/0"] });
  assert.equal(policy.asksName("example.com"), false);
  assert.equal(policy.allowsName("example.com", 443, "tcp"), false);
  assert.equal(policy.allowsAddress("1.2.3.4", 443, "tcp"), false);
});

test("ranges come out disjoint, and open what the entries say", () => {
  const prefix = fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([address, length]) => `${address}/${length}`);
  const ports = fc.oneof(
    fc.constant(""),
    fc
      .tuple(port, port, fc.constantFrom("tcp", "udp"))
      .map(([a, b, protocol]) => `:${Math.min(a, b)}-${Math.max(a, b)}/${protocol}`),
  );
  const near = fc.constantFrom("10.1.2.3", "10.1.2.200", "10.1.9.9", "10.9.9.9", "11.0.0.1");
  const entry = fc.tuple(
    fc.oneof(
      prefix,
      fc.tuple(near, fc.integer({ min: 6, max: 32 })).map((p) => p.join("/")),
    ),
    ports,
  );
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 12 }),
      near,
      port,
      fc.constantFrom("tcp", "udp"),
      (entries, at, port, protocol) => {
        const texts = entries.map((parts) => parts.join(""));
        const address = parseAddress(at)!;
        const policy = allowing(...texts);
        const holding = policy.ranges.filter(
          ({ range, ports }) => contains(range, address) && hasPort(ports, port, protocol),
        );
        assert.ok(holding.length <= 1, "two of them overlap");
        const meant = texts.some((text) => allowing(text).allowsAddress(at, port, protocol));
        assert.equal(holding.length === 1, meant);
        assert.equal(policy.allowsAddress(at, port, protocol), meant);
      },
    ),
  );
});

test("ports that rules open for names are cut so that no two overlap", () => {
  const entry = fc.tuple(fc.constantFrom("a.example", "b.example", "*.b.example"), port, port);
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), (entries) => {
      const policy = allowing(...entries.map(([name, a, b]) => `${name}:${Math.min(a, b)}-${Math.max(a, b)}`));
      const all = policy.directPorts;
      for (const one of all)
        for (const other of all) assert.ok(one === other || one.last < other.first || other.last < one.first);
      assert.ok(!hasPort(all, 80, "tcp") && !hasPort(all, 443, "tcp"));
      for (const name of ["a.example", "b.example", "x.b.example", "c.example"]) {
        const own = policy.directPlaces(name).flatMap((place) => all[place] ?? []);
        for (const port of entries.flatMap(([, a, b]) => [a, b]).filter((port) => port !== 80 && port !== 443))
          assert.equal(hasPort(own, port, "tcp"), policy.allowsName(name, port, "tcp"));
      }
    }),
  );
});

test("a thousand entries of every kind are read, and asked at once", () => {
  const allow = Array.from({ length: 1000 }, (_, index) =>
    index % 2 === 0 ? `*.host-${index}.example.com:${index + 1000}` : `198.18.${index % 256}.0/24:${index + 1000}/udp`,
  );
  const policy = allowing(...allow);
  assert.equal(policy.allowsName("a.host-998.example.com", 1998, "tcp"), true);
  assert.equal(policy.allowsName("a.host-998.example.com", 1997, "tcp"), false);
});

test("nested ranges whose ports would be too many pieces are refused, with what to do", () => {
  const holes = Array.from({ length: 1000 }, (_, index) => `10.0.0.0/8:${index * 2 + 1000}`);
  const nested = Array.from({ length: 1000 }, (_, index) => `10.${index % 256}.${index >> 8}.1`);
  assert.throws(() => allowing(...holes, ...nested), { code: "invalid_request", hint: /wider ranges/ });
});

test("presets are entries, and every entry of one is read", () => {
  for (const preset of presetNames) {
    assert.ok(AllowEntry.safeParse(`preset:${preset}`).success);
    const policy = allowing(`preset:${preset}`);
    for (const entry of policyPresets[preset]) {
      assert.ok(AllowEntry.safeParse(entry).success, entry);
      const [name = "", port = "443"] = entry.replace("*.", "sub.").split(":");
      assert.ok(policy.allowsName(name, Number(port), "tcp"), entry);
    }
  }
});

test("the contract takes what is read here, and refuses what would be nothing", () => {
  const good = ["example.com", "*.example.com", "_x.example.com:22", "xn--bcher-kva.example:4000-4010/udp", "a.b."];
  const ranges = ["203.0.113.0/24", "2001:db8::/32", "203.0.113.7", "203.0.113.7:5432", "[2001:db8::/32]:443/tcp"];
  for (const text of [...good, ...ranges]) assert.ok(AllowEntry.safeParse(text).success, text);
  for (const text of [
    "Example.com",
    "01.2.3.4",
    "1.2.3",
    "a.0x7f",
    "*",
    "*.*.com",
    "a..b",
    "-a.com",
    "a.com:x",
    "é.com",
  ])
    assert.ok(!AllowEntry.safeParse(text).success, text);
});

test("anything at all may be asked, and nothing throws", () => {
  const policies = [compiled({}), compiled({ mode: "none" }), allowing("*.example.com", "10.0.0.0/8:1-65535")];
  fc.assert(
    fc.property(fc.oneof(bytes, fc.string(), domain), fc.nat(70_000), (text, port) => {
      for (const policy of policies) {
        policy.asksName(text);
        policy.allowsName(text, port, "tcp");
        policy.allowsAddress(text, port, "udp");
        policy.admitsAnswer(text);
        policy.directPlaces(text);
      }
    }),
  );
});
