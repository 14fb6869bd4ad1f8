import assert from "node:assert/strict";
import { test } from "node:test";
import { AllowEntry, maxAllowEntries, policyPresets, SetNetworkPolicy, wholePolicy } from "@workfort/contract";

test("an entry is a name, an address or a preset, with ports that exist", () => {
  const good = [
    "example.com",
    "*.example.com",
    "example.com:22",
    "example.com:4000-4010/udp",
    "a_b.test.",
    "preset:npm",
  ];
  const addresses = [
    "203.0.113.7",
    "203.0.113.0/24",
    "203.0.113.7:5432",
    "2001:db8::/32",
    "::1",
    "[2001:db8::/32]:443/tcp",
  ];
  for (const entry of [...good, ...addresses, "localhost", "3com.com", "example.com:65535", "a:1-1"])
    assert.ok(AllowEntry.safeParse(entry).success, entry);
  const names = [
    "",
    "*",
    "*.",
    "a..b",
    "-a.test",
    "EXAMPLE.com",
    "a b",
    "http://a.test",
    "a.test/x",
    "*.*.test",
    "é.test",
  ];
  const ports = ["a:0", "a:65536", "a:9-8", "a:1/sctp", "a:", "a:1-", "203.0.113.7:0", "[::1]:0", "[::1"];
  const numbers = [
    "203.0.113.256",
    "203.0.113.0/33",
    "1.2.3",
    "256",
    "1.2.3.4.5",
    "2001:db8::/129",
    ":::",
    "1::2::3",
    "::g",
  ];
  for (const entry of [...names, ...ports, ...numbers, "preset:none", "a.test\n", `${"a".repeat(64)}.test`])
    assert.ok(!AllowEntry.safeParse(entry).success, entry);
});

test("every preset consists of entries", () => {
  for (const entries of Object.values(policyPresets))
    for (const entry of entries) assert.ok(AllowEntry.safeParse(entry).success && !entry.startsWith("preset:"), entry);
});

test("what is left out of a policy is open, but entries alone are a list", () => {
  assert.deepEqual(wholePolicy({}).mode, "open");
  assert.deepEqual(wholePolicy({ allow: ["a.test"] }).mode, "allow");
  assert.deepEqual(wholePolicy({ mode: "allow" }).allow, []);
  assert.deepEqual(wholePolicy({ mode: undefined, services: undefined }), wholePolicy({}));
  assert.ok(!SetNetworkPolicy.safeParse({ mode: "open", allow: ["a.test"] }).success);
  const most = Array.from({ length: maxAllowEntries }, (_, place) => `a${place}.test`);
  assert.ok(SetNetworkPolicy.safeParse({ allow: most }).success);
  assert.ok(!SetNetworkPolicy.safeParse({ allow: [...most, "one.more"] }).success);
});
