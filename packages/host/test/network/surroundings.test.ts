import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { conflictsAmong } from "../../src/network/route-conflicts.ts";
import { hostDnsServers } from "../../src/network/surroundings.ts";
import { linkOf, tagOf } from "../../src/network/tag.ts";

async function serversOf(files: Record<string, string>): Promise<string[]> {
  const root = await fs.mkdtemp(join(tmpdir(), "workfort-host-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await fs.mkdir(dirname(join(root, path)), { recursive: true });
      await fs.writeFile(join(root, path), text);
    }
    const { dnsServers, dnsTrouble } = await hostDnsServers(root);
    assert.equal(dnsTrouble === null, dnsServers.length > 0);
    return dnsServers;
  } finally {
    await fs.rm(root, { recursive: true });
  }
}

test("DNS servers are those that can be reached from another namespace", async () => {
  const uplink = { "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.53\nnameserver 2001:db8::53\n" };
  assert.deepEqual(await serversOf({ "etc/resolv.conf": "search a\nnameserver 198.51.100.1\n#nameserver 1.1.1.1\n" }), [
    "198.51.100.1",
  ]);
  const stub = { "etc/resolv.conf": "nameserver 127.0.0.53\noptions edns0\n" };
  assert.deepEqual(await serversOf({ ...stub, ...uplink }), ["192.0.2.53", "2001:db8::53"]);
  assert.deepEqual(await serversOf(stub), []);
  for (const text of ["", "nameserver ::1", "nameserver fe80::1%eth0", "nameserver x; rm -rf /", "nameserver"])
    assert.deepEqual(await serversOf({ "etc/resolv.conf": text }), [], text);
  assert.deepEqual(await serversOf({}), []);
});

test("a subnet of guests conflicts with routes that lead into it, but not with the default route", () => {
  const routes = [
    "default via 192.0.2.1 dev eth0",
    "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2",
    "10.0.0.0/8 dev vpn",
    "10.213.4.7 dev tun0 scope link",
    "unreachable 10.213.0.0/24",
    "10.214.0.0/16 dev x",
    "fd5f:2113:61c5::/48 dev y",
  ];
  assert.deepEqual(conflictsAmong(routes, "10.213.0.0/16"), [routes[2], routes[3], routes[4]]);
  assert.deepEqual(conflictsAmong(routes, "fd5f:2113:61c5::/64"), [routes[6]]);
  assert.deepEqual(conflictsAmong(routes, "172.30.0.0/16"), []);
});

test("a workplace has the same tag each time, and another than its neighbour", () => {
  assert.match(linkOf(tagOf("/home/a/.local/state/nexus")), /^nx[0-9a-f]{6}$/);
  assert.equal(tagOf("/a"), tagOf("/a"));
  assert.notEqual(tagOf("/a"), tagOf("/b"));
});
