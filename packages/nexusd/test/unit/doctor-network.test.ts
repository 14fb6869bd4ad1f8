import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Check, NetworkStatus } from "@workfort/contract";
import { checkNetwork } from "../../src/doctor/network.ts";

const usable: NetworkStatus = {
  mode: "auto",
  way: "root",
  usable: true,
  reason: "a veth pair with NAT, made by the daemon as root",
  hint: null,
  bridge: "nexbr0",
  ipv4Subnet: "10.213.0.0/16",
  ipv6Subnet: "fd5f:2113:61c5::/64",
  dnsServers: ["192.0.2.53"],
  gatewayPid: null,
  attachedCount: 0,
};
const docker = "Inter-|   Receive\n docker0:       0       0    0\n";
const ipv6Route = `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 fe800000000000000000000000000001 00000400 1 0 0003 eth0`;

/** What is said of a host with these files below `/`; a directory ends with a slash. */
async function checksOf(files: Record<string, string>, change: Partial<NetworkStatus> = {}): Promise<Check[]> {
  const root = await fs.mkdtemp(join(tmpdir(), "workfort-host-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await fs.mkdir(path.endsWith("/") ? join(root, path) : dirname(join(root, path)), { recursive: true });
      if (!path.endsWith("/")) await fs.writeFile(join(root, path), `${text}\n`);
    }
    return checkNetwork({ ...usable, ...change }, "nx0a1b2c", root);
  } finally {
    await fs.rm(root, { recursive: true });
  }
}

const named = (checks: readonly Check[], name: string): Check | undefined =>
  checks.find((check) => check.name === name);

test("a host without firewalls and with IPv4 alone has nothing to mend", async () => {
  const checks = await checksOf({ "proc/sys/net/ipv4/ip_forward": "0" });
  assert.deepEqual(
    checks.map(({ name, state }) => [name, state]),
    [
      ["network", "ok"],
      ["firewalls", "ok"],
      ["forwarding", "ok"],
    ],
  );
  assert.match(named(checks, "forwarding")?.detail ?? "", /IPv4 is switched on while.*no way out by IPv6/);
});

test("what drops forwarded packets is told with the command that lets this workplace's through", async () => {
  const checks = await checksOf({
    "proc/self/net/dev": docker,
    "etc/ufw/ufw.conf": "# comment\nENABLED=yes\nLOGLEVEL=low",
    "run/firewalld/": "",
  });
  for (const [name, fix] of [
    ["Docker", /^sudo iptables -I DOCKER-USER -i nx0a1b2c -j ACCEPT &&.*; sudo ip6tables -I DOCKER-USER/],
    ["ufw", /^sudo ufw route allow in on nx0a1b2c$/],
    ["firewalld", /firewall-cmd .*--add-interface=nx0a1b2c/],
  ] as const) {
    assert.equal(named(checks, name)?.state, "warning", name);
    assert.match(named(checks, name)?.fix ?? "", fix);
  }
  assert.equal(named(checks, "firewalls"), undefined);
  const off = await checksOf({ "etc/ufw/ufw.conf": "ENABLED=no" });
  const open = await checksOf({
    "etc/ufw/ufw.conf": "ENABLED=yes",
    "etc/default/ufw": 'DEFAULT_FORWARD_POLICY="ACCEPT"',
  });
  for (const checks of [off, open]) assert.equal(named(checks, "ufw"), undefined);
});

test("pasta asks nothing of the host's firewalls", async () => {
  const checks = await checksOf({ "proc/self/net/dev": docker }, { way: "pasta", reason: "pasta, as the user" });
  assert.deepEqual(
    checks.map(({ name, state, detail }) => [name, state, detail]),
    [["network", "ok", "pasta, as the user"]],
  );
});

test("IPv6 is forwarded, or not, as the kernel can", async () => {
  const route = { "proc/self/net/ipv6_route": ipv6Route };
  const all = "proc/sys/net/ipv6/conf/all/forwarding";
  const forced = "proc/sys/net/ipv6/conf/all/force_forwarding";
  const of = async (files: Record<string, string>): Promise<Check | undefined> =>
    named(await checksOf({ ...route, ...files }), "forwarding");
  assert.equal((await of({ [all]: "1" }))?.state, "ok");
  assert.equal((await of({ [all]: "0", [forced]: "0" }))?.state, "ok");
  const old = await of({ [all]: "0" });
  assert.equal(old?.state, "warning");
  assert.match(old?.fix ?? "", /accept_ra=2 net\.ipv6\.conf\.all\.forwarding=1/);
});

test("a network that cannot be used is told with its reason, one that is off is no trouble", async () => {
  const [none] = await checksOf(
    {},
    { usable: false, way: null, reason: "pasta is not installed", hint: "sudo apt-get install passt" },
  );
  assert.deepEqual([none?.state, none?.fix], ["warning", "sudo apt-get install passt"]);
  const [nameless] = await checksOf({}, { reason: "pasta; guests resolve no names", hint: "name some" });
  assert.deepEqual([nameless?.state, nameless?.fix], ["warning", "name some"]);
  assert.equal((await checksOf({}, { mode: "off", usable: false, way: null }))[0]?.state, "ok");
});
