import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { GatewayInventory, GatewayStatus } from "@workfort/host/network/gateway-protocol.ts";
import { dns } from "../lab/ask.ts";
import { Lab } from "../lab/lab.ts";

/** What nexusd may ask, and what it is told where it asks wrongly. */
let lab: Lab;

before(async () => {
  lab = await Lab.make();
});
after(async () => {
  await lab.remove();
});

test("before there is a state, guests are refused", async () => {
  const vm = lab.vm(2);
  await assert.rejects(
    lab.gateway.call("PUT", `/v1/vms/${vm.id}`, vm),
    /409 wrong_state: the gateway has no state yet/,
  );
  await lab.gateway.call("DELETE", `/v1/vms/${vm.id}`);
  await lab.put();
  GatewayStatus.parse(await lab.gateway.call("GET", "/v1/status"));
  GatewayInventory.parse(await lab.gateway.call("GET", "/v1/inventory"));
});

test("its socket is its owner's alone", async () => {
  assert.equal((await fs.stat(lab.socket("control"))).mode & 0o777, 0o600);
});

test("what is malformed is refused, and changes nothing", async () => {
  const vm = lab.vm(3);
  const bad: [string, string, string | undefined, RegExp][] = [
    ["PUT", "/v1/state", "{", /^400/],
    ["PUT", "/v1/state", "{}", /^400/],
    ["PUT", "/v1/settings", undefined, /^400/],
    ["PUT", `/v1/vms/${vm.id}`, JSON.stringify({ ...vm, policy: { mode: "all" } }), /^400/],
    ["PUT", `/v1/vms/${vm.id}`, JSON.stringify({ ...vm, id: lab.vm(4).id }), /^400/],
    ["PUT", `/v1/vms/${vm.id}`, JSON.stringify({ ...vm, tap: "eth0; reboot" }), /^400/],
    ["PUT", `/v1/vms/${vm.id}`, JSON.stringify({ ...vm, ipv4: "10.0.0.1 } ; flush ruleset" }), /^400/],
    ["PUT", `/v1/vms/${vm.id}`, JSON.stringify({ ...vm, macAddress: "02:00" }), /^400/],
    ["PUT", `/v1/vms/${vm.id}/policy`, JSON.stringify(vm.policy), /^404/],
    ["GET", `/v1/vms/${vm.id}/counters`, undefined, /^404/],
    ["GET", "/v1/nothing", undefined, /^404/],
    ["POST", "/v1/status", undefined, /^404/],
    ["GET", "/v1/vms/%ff/counters", undefined, /^404/],
  ];
  for (const [method, path, body, expected] of bad) {
    const { status, text } = await lab.gateway.raw(method, path, body);
    assert.match(`${status} ${text}`, expected, `${method} ${path} ${body}`);
    assert.match(text, /^\{"error":\{"code":"\w+","message":".+"\}\}$/, `${method} ${path}`);
  }
  assert.deepEqual((await lab.gateway.call<{ vms: string[] }>("GET", "/v1/status")).vms, []);
});

test("denials are told as they come, behind a number, of one VM or all", async () => {
  const { inside, vm } = await lab.guest({ mode: "none" });
  const ask = async (name: string): Promise<unknown> => await dns(inside, { server: lab.state.ipv4.gateway, name });
  for (const name of ["a.example", "a.example", "a.example", "b.example"]) await ask(name);
  const denials = await lab.gateway.denials();
  // on a busy host the equal ones may take more than the second in which they are one
  const asked = denials.flatMap(({ name, count, vmName }) => Array.from({ length: count }, () => [name, vmName]));
  assert.deepEqual(
    asked,
    ["a.example", "a.example", "a.example", "b.example"].map((name) => [name, vm.name]),
    JSON.stringify(denials),
  );
  const last = denials.at(-1)?.number ?? 0;
  assert.deepEqual(await lab.gateway.denials("vm_aaaaaaaaaaaa"), []);
  const socket = connect(lab.socket("control"));
  socket.write(`GET /v1/denials?follow=true&after=${last} HTTP/1.1\r\nHost: x\r\n\r\n`);
  let text = "";
  const told = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.includes("c.example")) resolve();
    });
  });
  while (text === "") await new Promise(setImmediate);
  await ask("c.example");
  await told;
  assert.match(text, new RegExp(`"number":${last + 1},.*"name":"c.example"`));
  assert.doesNotMatch(text, /b\.example/);
  socket.destroy();
});

test("two hundred guests at once are there at once, and gone with the state", async () => {
  const vms = Array.from({ length: 200 }, (_, index) =>
    lab.vm(index + 1000, { mode: "allow", allow: ["preset:npm", "a.example:22"] }),
  );
  await lab.put({ vms: [...lab.state.vms, ...vms.slice(0, 100)] });
  await Promise.all(vms.slice(100).map(async (vm) => await lab.gateway.call("PUT", `/v1/vms/${vm.id}`, vm)));
  const inventory = await lab.gateway.call<{ taps: string[] }>("GET", "/v1/inventory");
  assert.equal(inventory.taps.length, 201);
  await Promise.all(vms.slice(150).map(async (vm) => await lab.gateway.call("DELETE", `/v1/vms/${vm.id}`)));
  await lab.put({ vms: [] });
  const { taps, chains } = await lab.gateway.call<{ taps: string[]; chains: string[] }>("GET", "/v1/inventory");
  assert.deepEqual([taps, chains.filter((name) => name.includes("_"))], [[], []]);
  assert.equal(await lab.workplace.tool("ip", "neigh", "show", "dev", "nexbr0", "nud", "permanent"), "");
});

test("a policy of a thousand entries is taken, and changed", async () => {
  const { vm } = await lab.guest({ mode: "open" });
  const allow = Array.from({ length: 1000 }, (_, index) => {
    const kinds = [
      `*.n${index}.example`,
      `n${index}.example:${index + 1}`,
      `198.51.${index % 256}.0/24:${index + 1000}`,
      "10.0.0.0/8",
    ];
    return kinds[index % 4] ?? "";
  });
  await lab.policy(vm, { mode: "allow", allow });
  await lab.policy(vm, { mode: "allow", allow: allow.toReversed().map((entry) => entry.replace("198.51", "198.52")) });
});

test("SIGTERM ends it in order, and the rules stay", async () => {
  await lab.guest({ mode: "open" });
  assert.equal(lab.gateway.errors, "");
  await lab.gateway.stop();
  assert.match(await lab.workplace.tool("nft", "list", "table", "inet", "workfort"), /ct mark 0x.* accept/);
});
