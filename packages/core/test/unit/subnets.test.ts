import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  addressesOf,
  firstGuestNumber,
  lastGuestNumber,
  networkArgument,
  prefixLength,
} from "../../src/network/addresses.ts";
import { canonicalIpv6Subnet, isIpv4Subnet, isIpv6Subnet, subnetsInForce } from "../../src/network/subnets.ts";

const ipv6 = "fd5f:2113:61c5::/64";

test("a subnet of guests is private, of a size that can be, and has nothing behind its prefix", () => {
  const good = [
    "10.213.0.0/16",
    "10.0.0.16/28",
    "172.16.0.0/16",
    "172.31.255.240/28",
    "192.168.0.0/16",
    "10.4.64.0/18",
  ];
  for (const text of good) assert.ok(isIpv4Subnet(text), text);
  const bad = ["10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/29", "10.213.1.0/16", "172.32.0.0/16", "172.15.0.0/16"];
  const worse = ["11.0.0.0/16", "203.0.113.0/24", "127.0.0.0/16", "169.254.0.0/16", "100.64.0.0/16", "0.0.0.0/16"];
  const nonsense = ["", "10.0.0.0", "10.0.0/16", "010.0.0.0/16", "10.0.0.0/016", "10.0.0.0/ 16", "10.0.0.0/16\n", ipv6];
  for (const text of [...bad, ...worse, ...nonsense]) assert.ok(!isIpv4Subnet(text), text);
  for (const text of [ipv6, "fd00::/64", "fcff:0:0:1::/64", "FD5F:2113:61C5:0::/64", "fd5f:1:2:3:0:0:0:0/64"])
    assert.ok(isIpv6Subnet(text), text);
  for (const text of [
    "fd00::/48",
    "fd00::1/64",
    "fd00::1:0:0:0/64",
    "fe80::/64",
    "2001:db8::/64",
    "::/64",
    "fd00::",
    "/64",
  ])
    assert.ok(!isIpv6Subnet(text), text);
  assert.equal(canonicalIpv6Subnet("FD5F:2113:61C5:0:0:0:0:0/64"), ipv6);
});

/** a subnet from 10.0.0.0/16 to /28, aligned */
const ipv4Subnets = fc
  .record({ length: fc.integer({ min: 16, max: 28 }), place: fc.nat(2 ** 20 - 1) })
  .map(({ length, place }) => {
    const base = 10 * 2 ** 24 + ((place * 2 ** (32 - length)) % 2 ** 24);
    return `${[24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join(".")}/${length}`;
  });

test("every number has addresses of its own within both subnets, and none is the first or the last", () => {
  fc.assert(
    fc.property(ipv4Subnets, fc.nat(70_000), (ipv4, place) => {
      assert.ok(isIpv4Subnet(ipv4), ipv4);
      const subnets = { ipv4, ipv6 };
      const last = lastGuestNumber(subnets);
      const number = firstGuestNumber + (place % (last - firstGuestNumber + 1));
      const value = (address: string): number => address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
      const own = addressesOf(subnets, number);
      const base = value(ipv4.split("/")[0] ?? "");
      assert.ok(isIPv4(own.ipv4) && isIPv6(own.ipv6), JSON.stringify(own));
      assert.equal(value(own.ipv4) - base, number);
      assert.ok(number < 2 ** (32 - prefixLength(ipv4)) - 1);
      assert.equal(Number.parseInt(own.ipv6.slice("fd5f:2113:61c5::".length), 16), number);
    }),
  );
});

test("what the agent is told fits the guest's command line and holds no space", () => {
  const words = networkArgument({ ipv4: "10.213.0.0/16", ipv6 }, "vm_abcdefgh2345", 65_534);
  assert.match(
    words,
    /^workfort\.network=02(:[0-9a-f]{2}){5},10\.213\.255\.254\/16,10\.213\.0\.1,fd5f:2113:61c5::fffe\/64,fd5f:2113:61c5::1,1500$/,
  );
});

test("other subnets wait until nothing runs in the old ones", () => {
  const [old, other] = [
    { ipv4: "10.213.0.0/16", ipv6 },
    { ipv4: "10.9.0.0/24", ipv6 },
  ];
  assert.deepEqual(subnetsInForce(other, null, true), { subnets: other, notice: null });
  assert.deepEqual(subnetsInForce(other, old, false), { subnets: other, notice: null });
  assert.deepEqual(subnetsInForce(old, { ...old }, true), { subnets: old, notice: null });
  const kept = subnetsInForce(other, old, true);
  assert.deepEqual(kept.subnets, old);
  assert.match(kept.notice ?? "", /stay in 10\.213\.0\.0\/16.*10\.9\.0\.0\/24/);
});
