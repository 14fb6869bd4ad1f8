import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { addresses, Internet, withInternet } from "@workfort/testing";

/** The internet of the tests by itself: what proves something about guests has to work without them. */

test("names, web servers and echoes answer on the tested machine, and what came is written down", () =>
  withInternet({}, async (internet) => {
    const { host } = internet;
    const page = ["curl", "-sS", "--cacert", internet.authority, "--resolve", "allowed.test:443:198.51.100.80"];
    const secure = JSON.parse(await host.run([...page, "https://allowed.test/a"])) as unknown;
    assert.deepEqual(secure, { host: "allowed.test", path: "/a", secure: true, address: "198.51.100.80" });
    const six = JSON.parse(await host.run(["curl", "-sS", "http://[2001:db8:2::80]/b"])) as unknown;
    assert.deepEqual(six, { host: "[2001:db8:2::80]", path: "/b", secure: false, address: "2001:db8:2::80" });
    const metadata = await host.run(["curl", "-sS", "http://169.254.169.254/"]);
    assert.match(metadata, /169\.254\.169\.254/, "it would answer");
    const seen = await internet.outside.ask.seen();
    assert.deepEqual(
      seen.filter(({ kind }) => kind !== "tcp").map(({ kind, name, address }) => `${kind} ${name} ${address}`),
      [
        "tls allowed.test 198.51.100.80",
        "request allowed.test 198.51.100.80",
        "request [2001:db8:2::80] 2001:db8:2::80",
        "request 169.254.169.254 169.254.169.254",
      ],
    );
    const arrived = await internet.arrivals();
    assert.ok(
      arrived.some(({ from, to, protocol, port }) =>
        [from, to, protocol, port].join(" ").includes(`${addresses.machine.ipv4} 169.254.169.254 tcp 80`),
      ),
      JSON.stringify(arrived),
    );
    await internet.forget();
    assert.deepEqual(
      (await internet.arrivals()).filter(({ protocol }) => protocol === "tcp"),
      [],
    );
  }));

test("what is left on the tested machine is told: a rule, a link, a process", async () => {
  const internet = await Internet.make({ firewall: "docker" });
  assert.deepEqual(await internet.changesOfHost(), []);
  await internet.host.ip(["link add nxleft type bridge"]);
  await internet.host.nft("table inet workfort_left { }");
  const changed = await internet.changesOfHost();
  assert.match(changed.join("\n"), /workfort_left[^]*nxleft/);
  const { directory } = internet;
  assert.ok((await internet.remove()).length > 0);
  await assert.rejects(fs.stat(directory), { code: "ENOENT" });
});
