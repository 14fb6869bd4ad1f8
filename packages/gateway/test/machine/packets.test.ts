import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { serveEcho, tcp, udp } from "../lab/ask.ts";
import { internet, Lab } from "../lab/lab.ts";

/** What rules alone decide: addresses, ports, who sends. */
let lab: Lab;
const places = [...internet.web, internet.web6, internet.private, internet.private6, internet.metadata];

before(async () => {
  lab = await Lab.make();
  await lab.put();
  await serveEcho(
    lab.internet,
    places.flatMap((address) => [7000, 443, 53].map((port) => ({ address, port }))),
  );
});
after(async () => {
  assert.equal(lab.gateway.errors, "");
  await lab.remove();
});

const greeting = (address: string, port: number): RegExp =>
  new RegExp(`^${address.replaceAll(".", "\\.")}:${port} to (203\\.0\\.113\\.2|2001:db8:113::2)\n`);
/** what a refused datagram is answered with: an ICMP error, as each family tells it */
const unreachable = /^(EHOSTUNREACH|EACCES)$/;

test("open reaches the internet by both families, and nothing that is private", async () => {
  const { inside } = await lab.guest({ mode: "open" });
  for (const address of [internet.web[0], internet.web6])
    for (const port of [7000, 443]) {
      assert.match(await tcp(inside, { address, port }), greeting(address, port));
      assert.equal(await udp(inside, { address, port, send: "hi" }), "hi");
    }
  for (const address of [internet.private, internet.private6, internet.metadata]) {
    assert.equal(await tcp(inside, { address, port: 7000 }), "ECONNREFUSED", address);
    assert.match(await udp(inside, { address, port: 7000, send: "hi" }), unreachable, address);
  }
});

test("DNS of others is closed in every mode", async () => {
  for (const policy of [{ mode: "open" }, { mode: "allow", allow: ["0.0.0.0/0", "::/0"] }] as const) {
    const { inside } = await lab.guest({ ...policy, allow: [...("allow" in policy ? policy.allow : [])] });
    for (const address of [internet.web[0], internet.web6, internet.private]) {
      assert.equal(await tcp(inside, { address, port: 53 }), "ECONNREFUSED", address);
      assert.match(await udp(inside, { address, port: 53, send: "hi" }), unreachable, address);
    }
  }
});

test("none reaches nothing, and is told so at once", async () => {
  const { inside } = await lab.guest({ mode: "none", allow: [] });
  for (const address of places) {
    assert.equal(await tcp(inside, { address, port: 7000 }), "ECONNREFUSED", address);
    assert.match(await udp(inside, { address, port: 7000, send: "hi" }), unreachable, address);
  }
});

test("allow opens the addresses and ports of its entries, private ones too, and passes them by the checks", async () => {
  const allow = [
    `${internet.web[0]}:7000`,
    `${internet.private}:443/udp`,
    "2001:db8:100::/48",
    `${internet.private}:443`,
  ];
  const { inside } = await lab.guest({ mode: "allow", allow });
  assert.match(await tcp(inside, { address: internet.web[0], port: 7000 }), greeting(internet.web[0], 7000));
  assert.match(await udp(inside, { address: internet.web[0], port: 7000, send: "hi" }), unreachable);
  assert.equal(await tcp(inside, { address: internet.web[1], port: 7000 }), "ECONNREFUSED");
  assert.match(await tcp(inside, { address: internet.web6, port: 443 }), greeting(internet.web6, 443));
  assert.equal(await udp(inside, { address: internet.web6, port: 443, send: "hi" }), "hi");
  assert.match(await tcp(inside, { address: internet.private, port: 443 }), greeting(internet.private, 443));
  assert.equal(await udp(inside, { address: internet.private, port: 443, send: "hi" }), "hi");
  assert.equal(await tcp(inside, { address: internet.private, port: 7000 }), "ECONNREFUSED");
  const checked = await tcp(inside, { address: internet.private6, port: 443, send: "no TLS" });
  assert.equal(checked, "\x15\x03\x03\x00\x02\x02\x31");
});

test("neither another guest nor the gateway's own ports are within reach, even for who allows everything", async () => {
  const one = await lab.guest({ mode: "allow", allow: ["0.0.0.0/0", "::/0"] });
  const other = await lab.guest({ mode: "open" });
  await serveEcho(other.inside, [{ address: other.vm.ipv4, port: 7000 }]);
  assert.equal(await tcp(one.inside, { address: other.vm.ipv4, port: 7000 }), "ECONNREFUSED");
  // to the gateway's MAC, in the hope that it leads back
  await one.inside.ip(`route add ${other.vm.ipv4}/32 via ${lab.state.ipv4.gateway}`);
  await one.inside.ip(`route add ${other.vm.ipv6}/128 via ${lab.state.ipv6.gateway}`);
  assert.equal(await tcp(one.inside, { address: other.vm.ipv4, port: 7000 }), "ECONNREFUSED");
  assert.equal(await tcp(one.inside, { address: other.vm.ipv6, port: 7000 }), "ECONNREFUSED");
  for (const port of [22, 10_080, 10_443])
    for (const address of [lab.state.ipv4.gateway, lab.state.ipv6.gateway])
      assert.equal(await tcp(one.inside, { address, port }), "ECONNREFUSED");
});

test("taps are made for the VMM's user, once, and go with their VM", async () => {
  const vm = lab.vm(900, { mode: "allow", allow: ["198.51.100.1:900", "a.example:900"] });
  const before = await lab.gateway.call<{ taps: string[]; chains: string[] }>("GET", "/v1/inventory");
  await lab.gateway.call("PUT", `/v1/vms/${vm.id}`, vm);
  await lab.gateway.call("PUT", `/v1/vms/${vm.id}`, vm);
  const shown = await lab.workplace.tool("ip", "-details", "link", "show", vm.tap);
  assert.match(shown, /tun type tap.*vnet_hdr on.*persist on/s);
  assert.match(shown, /isolated on/);
  await lab.gateway.call("DELETE", `/v1/vms/${vm.id}`);
  await lab.gateway.call("DELETE", `/v1/vms/${vm.id}`);
  assert.deepEqual(await lab.gateway.call("GET", "/v1/inventory"), before);
});
