import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { asStranger, eventually, nativePrograms, ownPlaces, refusal, strangerUid } from "@workfort/testing";
import { guest, hello, makeHost, NetworkDaemon } from "./network-daemon.ts";
import type { TestNamespace } from "./test-namespace.ts";

/**
 * The network of a workplace in all three ways, on a "host" that is a namespace of the test: made by the first guest,
 * found again by the next daemon, mended where a part of it is killed, and gone without a trace.
 */
/** what root does by `nexusctl network setup` */
const withHelper = `${ownPlaces}
mkdir -p /etc/workfort /usr/local/libexec/workfort
cp ${join(nativePrograms, "network-helper")} /usr/local/libexec/workfort/network-helper
chmod 4755 /usr/local/libexec/workfort/network-helper
echo "allow ${strangerUid}" > /etc/workfort/network-helper.conf
${asStranger}`;

const ways = ["root", "pasta", "helper"] as const;
type Way = (typeof ways)[number];

async function makeDaemon(t: TestContext, way: Way, host: TestNamespace): Promise<NetworkDaemon> {
  if (way === "root") return await NetworkDaemon.make(t, host);
  const script = way === "pasta" ? asStranger : withHelper;
  return await NetworkDaemon.make(t, host, {
    words: ["unshare", "--mount", "--", "sh", "-c", script, "sh"],
    uid: strangerUid,
  });
}

async function picture(host: TestNamespace): Promise<string> {
  const parts = [
    ["nft", "--stateless", "list", "ruleset"],
    ["ip", "-o", "address"],
    ["ip", "route", "show", "table", "all"],
    ["sh", "-c", "grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv[46]/conf/*/*forwarding"],
  ];
  return (await Promise.all(parts.map((argv) => host.run(argv)))).join("\n");
}

for (const way of ways) {
  test(`${way}: made by the first guest, joined to the outside and closed to the host, gone without a trace`, async (t) => {
    const { host } = await makeHost(t);
    await host.run(["nft", "-f", "-"], {
      input:
        "table ip other {\n chain forward {\n type filter hook forward priority 0; policy accept;\n counter\n }\n}\n",
    });
    const before = await picture(host);
    const daemon = await makeDaemon(t, way, host);
    const status = await daemon.call("status");
    assert.deepEqual([status.way, status.usable, status.gatewayPid], [way, true, null], JSON.stringify(status));
    assert.deepEqual(await daemon.processes(), []);
    assert.equal(await picture(host), before);

    const attached = await daemon.call("attach", guest(2));
    assert.equal(attached.namespaces.user === null, way === "root");
    assert.match(attached.bootArguments[0] ?? "", /^workfort\.network=02:.*,10\.213\.0\.2\/16,10\.213\.0\.1,/);
    assert.match(await daemon.inside(["ip", "-o", "link", "show", attached.tap]), /master nexbr0/);
    assert.match(await hello(daemon, "198.51.100.1"), /^hello (::ffff:)?198\.51\.100\.2$/);
    assert.match(await hello(daemon, "2001:db8::1"), /^hello 2001:db8::2$/);
    for (const own of ["198.51.100.2", "2001:db8::2"]) assert.equal(await hello(daemon, own), "");
    const gatewayPid = await daemon.pidOf("gateway");
    const { gatewayPid: told, attachedCount } = await daemon.call("status");
    assert.deepEqual([told, attachedCount], [gatewayPid, 1]);
    // what it may: interfaces, rules, and its port
    const bounding = /^CapBnd:\s*(\w+)$/m.exec(await fs.readFile(`/proc/${gatewayPid}/status`, "utf8"))?.[1];
    assert.equal(BigInt(`0x${bounding}`), (1n << 12n) | (1n << 10n));

    await daemon.call("detach", guest(2).vmId);
    await assert.rejects(daemon.inside(["ip", "link", "show", attached.tap]), /does not exist/);
    const gone = await daemon.call("reset");
    assert.ok(gone.length >= 2 && gone.every(({ removed }) => removed), JSON.stringify(gone));
    assert.deepEqual(await daemon.call("reset"), []);
    assert.deepEqual(await daemon.processes(), []);
    assert.equal(await picture(host), before);
    await assert.rejects(fs.stat(join(daemon.runtimeDirectory, "network")), { code: "ENOENT" });
  });

  test(`${way}: the next daemon finds it, and mends what was killed`, async (t) => {
    const { host } = await makeHost(t);
    const daemon = await makeDaemon(t, way, host);
    const { tap } = await daemon.call("attach", guest(2));
    const namespace = await daemon.namespace();
    const gateway = await daemon.pidOf("gateway");
    await daemon.die();
    await daemon.call("recover", [guest(2)]);
    assert.deepEqual([await daemon.namespace(), await daemon.pidOf("gateway")], [namespace, gateway]);

    for (const name of ["gateway", "holder", ...(way === "pasta" ? (["uplink"] as const) : [])] as const) {
      for (const daemonLives of [true, false]) {
        const pid = (await daemon.pidOf(name)) ?? 0;
        if (!daemonLives) await daemon.die();
        process.kill(pid, "SIGKILL"); // of this test
        if (!daemonLives) await daemon.call("recover", [guest(2)]);
        await eventually(
          () => daemon.pidOf(name),
          (found) => found !== null && found !== pid,
        );
        assert.match((await daemon.call("attach", guest(3))).tap, /^tap/);
        assert.equal(await daemon.namespace(), namespace, `${name}, ${daemonLives}`);
        assert.match(await daemon.inside(["ip", "-o", "link", "show", tap]), /master nexbr0/);
        assert.match(await hello(daemon, "198.51.100.1"), /^hello/, daemon.log);
        await daemon.call("detach", guest(3).vmId);
      }
    }
    // a daemon without guests takes away what the one before it has left
    await daemon.die();
    await daemon.call("recover", []);
    assert.deepEqual(await daemon.processes(), []);
  });
}

test("reconcile removes what nobody has, and makes again what is missing", async (t) => {
  const { host } = await makeHost(t);
  const daemon = await makeDaemon(t, "root", host);
  const { tap } = await daemon.call("attach", guest(2));
  const reconcile = async (): Promise<unknown[][]> =>
    (await daemon.call("reconcile", [guest(2)])).map(({ kind, name, removed }) => [kind, name, removed]);
  await daemon.inside(["ip", "tuntap", "add", "dev", "tapzzzzzzzzzzz2", "mode", "tap"]);
  await daemon.inside(["ip", "link", "delete", tap]);
  await daemon.inside(["nft", "add", "chain", "inet", "workfort", "stray"]);
  assert.deepEqual(await reconcile(), [
    ["tap", "tapzzzzzzzzzzz2", true],
    ["tap", tap, false],
    ["rule", "inet stray", true],
  ]);
  assert.match(await daemon.inside(["ip", "-o", "link", "show", tap]), /master nexbr0/);
  const rules = await daemon.inside(["nft", "--stateless", "list", "ruleset"]);
  await daemon.inside(["nft", "delete", "table", "bridge", "workfort"]);
  const made = await reconcile();
  assert.ok(
    made.length > 0 &&
      made.every(([kind, name, removed]) => kind === "rule" && String(name).startsWith("bridge ") && removed === false),
  );
  assert.equal(await daemon.inside(["nft", "--stateless", "list", "ruleset"]), rules);
  assert.deepEqual(await reconcile(), []);
  const rest = await daemon.call("reconcile", []);
  assert.ok(rest.length >= 2 && rest.every(({ removed }) => removed), JSON.stringify(rest));
  assert.deepEqual(await daemon.processes(), []);
});

for (const way of ["root", "helper"] as const)
  test(`${way}: where others take a part of the uplink away, it is made again, at once by reconcile, and leaves no trace`, async (t) => {
    const { host } = await makeHost(t);
    const before = await picture(host);
    const daemon = await makeDaemon(t, way, host);
    await daemon.call("attach", guest(2));
    const link = async (): Promise<string> =>
      await host.run(["sh", "-c", "ip -o link show type veth | grep -o nx......"]);
    const name = (await link()).trim();
    const spoils = [
      ["nft", "flush", "ruleset"],
      ["ip", "link", "delete", name],
      ["sysctl", "--quiet", "--write", "net.ipv4.conf.wan.forwarding=0"],
    ];
    for (const spoil of spoils) {
      await host.run(spoil);
      assert.deepEqual(
        (await daemon.call("reconcile", [guest(2)])).map((one) => [one.kind, one.name, one.removed]),
        [["uplink", name, false]],
        spoil.join(" "),
      );
      assert.match(await hello(daemon, "198.51.100.1"), /^hello/, spoil.join(" "));
    }
    // nobody asks: it is looked after every few seconds
    await host.run(["nft", "flush", "ruleset"]);
    await eventually(
      () => hello(daemon, "198.51.100.1").catch(() => ""),
      (answer) => answer.startsWith("hello"),
    );
    assert.deepEqual(await daemon.call("reconcile", [guest(2)]), []);
    await daemon.call("reset");
    assert.equal(await picture(host), before);
  });

for (const way of ways)
  test(`${way}: the host goes over to another network, guests go with it, and its new address is closed to them`, async (t) => {
    const { host, internet } = await makeHost(t);
    const daemon = await makeDaemon(t, way, host);
    await daemon.call("attach", guest(2));
    assert.match(await hello(daemon, "198.51.100.1"), /^hello/);
    await host.run(["ip", "link", "add", "wifi", "type", "veth", "peer", "name", "ap", "netns", String(internet.pid)]);
    for (const [at, device, number] of [
      [internet, "ap", 1],
      [host, "wifi", 2],
    ] as const) {
      await at.run(["ip", "address", "add", `203.0.113.${number}/24`, "dev", device]);
      await at.run(["ip", "link", "set", device, "up"]);
    }
    await host.run(["ip", "link", "set", "wan", "down"]);
    await host.run(["ip", "route", "replace", "default", "via", "203.0.113.1"]);
    await eventually(
      () => hello(daemon, "203.0.113.1"),
      (answer) => /^hello (::ffff:)?203\.0\.113\.2$/.test(answer),
    );
    await eventually(
      () => daemon.inside(["nft", "list", "ruleset"]),
      (rules) => rules.includes("203.0.113.2"),
    );
    // by pasta the namespace itself may: who asks for guests there, the gateway, closes them by its rules alone
    if (way !== "pasta") assert.equal(await hello(daemon, "203.0.113.2"), "");
  });

test("many at once, and a network that another start takes down meanwhile", async (t) => {
  const { host } = await makeHost(t);
  const daemon = await makeDaemon(t, "root", host);
  const guests = [2, 3, 4, 5, 6, 7].map(guest);
  await Promise.all(guests.map((one) => daemon.call("attach", one)));
  assert.equal((await daemon.inside(["bridge", "link"])).split("\n").filter((line) => line.includes("tap")).length, 6);
  await Promise.all(guests.map((one) => daemon.call("detach", one.vmId)));
  const [, attached] = await Promise.all([daemon.call("reset"), daemon.call("attach", guest(2))]);
  assert.match(await daemon.inside(["ip", "-o", "link", "show", attached.tap]), /master nexbr0/);
});

test("a subnet that the host has, and a device that may not be opened, are told with what mends them", async (t) => {
  const { host } = await makeHost(t);
  const daemon = await makeDaemon(t, "root", host);
  await host.run(["ip", "address", "add", "10.213.7.1/24", "dev", "wan"]);
  const { code, message, hint } = await refusal(daemon.call("attach", guest(2)));
  assert.equal(code, "network_unavailable");
  assert.match(message, /10\.213\.0\.0\/16 lies in a network of the host: 10\.213\.7\.0\/24/);
  assert.match(hint ?? "", /nexus\.yaml: network: \{ ipv4Subnet/);
  assert.deepEqual(await daemon.processes(), []);

  const stranger = await NetworkDaemon.make(t, host, {
    words: ["unshare", "--mount", "sh", "-c", asStranger.replace("-m 666", "-m 600"), "sh"],
    uid: strangerUid,
  });
  const status = await stranger.call("status");
  assert.deepEqual([status.usable, status.way], [false, null]);
  assert.match(status.reason, /\/dev\/net\/tun may not be opened/);
  assert.match(status.hint ?? "", /^sudo chmod 0666 \/dev\/net\/tun/);
});
