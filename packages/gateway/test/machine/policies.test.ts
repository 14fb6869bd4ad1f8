import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { VmNetworkCounters } from "@workfort/contract";
import { eventually } from "@workfort/testing";
import { dns, Line, serveEcho, tcp, udp } from "../lab/ask.ts";
import { helloMessage, inRecords } from "../lab/hello.ts";
import { internet, Lab } from "../lab/lab.ts";
import { serveNames } from "../lab/servers.ts";

/** Policies that change, gateways that die, and connections that are there meanwhile. */
let lab: Lab;
const [web, other] = internet.web;

before(async () => {
  lab = await Lab.make();
  await serveNames(lab.internet, internet.ipv4, {
    "good.example": { addresses: [web], ttl: 5 },
    "other.example": { addresses: [other] },
  });
  await serveEcho(
    lab.internet,
    [web, other, internet.web6].flatMap((address) => [22, 443, 7000].map((port) => ({ address, port }))),
  );
  await lab.put();
});
after(async () => {
  assert.equal(lab.gateway.errors, "");
  await lab.remove();
});

const counters = async (id: string): Promise<VmNetworkCounters> =>
  await lab.gateway.call<VmNetworkCounters>("GET", `/v1/vms/${id}/counters`);

test("direct connections are judged again: what the new policy allows lives, the rest is reset", async () => {
  const { vm, inside } = await lab.guest({ mode: "open" });
  const lines = await Promise.all(
    [web, other, internet.web6].map(async (address) => await Line.open(inside, { address, port: 7000 })),
  );
  await lab.policy(vm, { mode: "allow", allow: [`${web}:7000`, `[${internet.web6}]:7000-7001`] });
  assert.deepEqual(await Promise.all(lines.map(async (line) => await line.echoes("one"))), [true, false, true]);
  await lab.policy(vm, { mode: "allow", allow: [`${web}:7000`] });
  assert.deepEqual(await Promise.all(lines.map(async (line) => await line.echoes("two"))), [true, false, false]);
  await lab.policy(vm, { mode: "none" });
  assert.equal(await lines[0]?.echoes("three"), false);
  assert.deepEqual(await Promise.all(lines.map(async (line) => await line.ended())), Array(3).fill("ECONNRESET"));
  await lab.policy(vm, { mode: "open" });
  assert.match(await tcp(inside, { address: web, port: 7000 }), /^198/);
});

test("a guest that only listens is judged by what it is sent", async () => {
  const { vm, inside } = await lab.guest({ mode: "open" });
  await lab.internet.run(async ({ net, kept }, address) => {
    const state = { sent: 0, ended: "" };
    kept.set("ticker", state);
    const server = net.createServer((socket) => {
      const timer = setInterval(() => socket.write(`${(state.sent += 1)}\n`), 10);
      socket.on("error", (error: NodeJS.ErrnoException) => (state.ended = error.code ?? ""));
      socket.on("close", () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(7100, address, resolve));
  }, web);
  const ended = async (): Promise<string> =>
    await lab.internet.run(({ kept }) => (kept.get("ticker") as { ended: string }).ended, null);
  await Line.open(inside, { address: web, port: 7100 });
  await lab.policy(vm, { mode: "allow", allow: [`${web}:7100`] });
  await new Promise((later) => setTimeout(later, 200)); // it goes on; a reset would have come by now
  assert.equal(await ended(), "");
  await lab.policy(vm, { mode: "none" });
  await eventually(ended, (text) => text !== "");
});

test("a connection by name lives through changes that keep its name", async () => {
  const { vm, inside } = await lab.guest({ mode: "allow", allow: ["good.example:22", "other.example:22"] });
  for (const name of ["good.example", "other.example"]) await dns(inside, { server: lab.state.ipv4.gateway, name });
  const [kept, cut] = await Promise.all(
    [web, other].map(async (address) => await Line.open(inside, { address, port: 22 })),
  );
  await lab.policy(vm, { mode: "allow", allow: ["good.example:20-30", `${internet.private}:1`] });
  assert.equal(await kept?.echoes("kept"), true);
  assert.equal(await cut?.echoes("cut"), false);
  assert.equal(await tcp(inside, { address: other, port: 22 }), "ECONNREFUSED");
});

test("a connection that was direct is none any more where its port is checked", async () => {
  const { vm, inside } = await lab.guest({ mode: "open" });
  const line = await Line.open(inside, { address: web, port: 443 });
  await lab.policy(vm, { mode: "allow", allow: ["good.example"] });
  assert.equal(await line.echoes("direct"), false);
  const hello = inRecords(helloMessage({ serverName: "good.example" })).toString("latin1");
  const checked = await Line.open(inside, { address: web, port: 443, send: hello });
  assert.equal(await checked.echoes("checked"), true);
  await lab.policy(vm, { mode: "open" });
  assert.equal(await checked.echoes("still"), true);
});

test("the same state put anew, or another guest's change, disturbs nobody", async () => {
  const one = await lab.guest({ mode: "allow", allow: [`${web}:7000`, "good.example:22"] });
  const other = await lab.guest({ mode: "open" });
  await dns(one.inside, { server: lab.state.ipv4.gateway, name: "good.example" });
  const lines = [
    await Line.open(one.inside, { address: web, port: 7000 }),
    await Line.open(one.inside, { address: web, port: 22 }),
  ];
  const before = await counters(one.vm.id);
  await lab.put();
  await lab.gateway.call("PUT", `/v1/vms/${one.vm.id}`, one.vm);
  await lab.policy(other.vm, { mode: "none" });
  const { vms: _, ...settings } = lab.state;
  await lab.gateway.call("PUT", "/v1/settings", settings);
  for (const line of lines) assert.equal(await line.echoes("undisturbed"), true);
  assert.equal(await tcp(one.inside, { address: web, port: 22 }).then((text) => text.slice(0, 3)), "198");
  assert.ok((await counters(one.vm.id)).sentBytes > before.sentBytes);
});

test("a killed gateway leaves its rules: what they allow goes on, the rest is closed, and the next one takes over", async () => {
  const { vm, inside } = await lab.guest({ mode: "allow", allow: [`${web}:7000`, "good.example"] });
  const line = await Line.open(inside, { address: web, port: 7000 });
  const { sentBytes } = await counters(vm.id);
  await lab.gateway.stop("SIGKILL");
  assert.equal(await line.echoes("without a gateway"), true);
  assert.match(await tcp(inside, { address: web, port: 7000 }), /^198/);
  assert.equal(await tcp(inside, { address: other, port: 7000 }), "ECONNREFUSED");
  assert.equal(await tcp(inside, { address: web, port: 443 }), "ECONNREFUSED");
  assert.equal(await dns(inside, { server: lab.state.ipv4.gateway, name: "good.example", waitMs: 300 }), null);
  await lab.startGateway();
  assert.deepEqual((await lab.gateway.call<{ vms: string[] }>("GET", "/v1/status")).vms, []);
  await lab.put();
  assert.equal(await line.echoes("with the next one"), true);
  assert.deepEqual((await dns(inside, { server: lab.state.ipv4.gateway, name: "good.example" }))?.addresses, [web]);
  assert.ok((await counters(vm.id)).sentBytes > sentBytes, "what was counted goes on");
});

test("what is no more in the state is gone, taps and rules", async () => {
  const { vm } = await lab.guest({ mode: "allow", allow: ["203.0.113.9:9"] });
  const made = await lab.gateway.call<{ taps: string[]; chains: string[] }>("GET", "/v1/inventory");
  lab.state.vms.pop();
  await lab.put();
  const { taps, chains } = await lab.gateway.call<{ taps: string[]; chains: string[] }>("GET", "/v1/inventory");
  assert.deepEqual(taps.toSorted(), lab.state.vms.map(({ tap }) => tap).toSorted());
  assert.equal(made.chains.filter((chain) => !chains.includes(chain)).length, 3);
  await assert.rejects(counters(vm.id), /404 not_found/);
});

test("counters tell what has passed and what was refused", async () => {
  const { vm, inside } = await lab.guest({ mode: "allow", allow: [`${web}:7000`] });
  const before = await counters(vm.id);
  await udp(inside, { address: other, port: 7000, send: "x" });
  await dns(inside, { server: lab.state.ipv4.gateway, name: "no.example" });
  const text = "x".repeat(1200);
  const line = await Line.open(inside, { address: web, port: 7000 });
  assert.equal(await line.echoes(text), true);
  const now = await counters(vm.id);
  assert.ok(now.deniedPackets >= before.deniedPackets + 2);
  assert.ok(now.sentBytes >= before.sentBytes + 1200 && now.receivedBytes >= before.receivedBytes + 1200);
  // an acknowledgement may pass between the two questions
  await eventually(
    async () => [
      (await lab.gateway.call<Record<string, unknown>>("GET", "/v1/counters"))[vm.id],
      await counters(vm.id),
    ],
    ([ofAll, own]) => isDeepStrictEqual(ofAll, own),
  );
});

test("fragments are judged as what they are parts of", async () => {
  const { vm, inside } = await lab.guest({ mode: "allow", allow: [`${web}:7000/udp`, `[${internet.web6}]:7000/udp`] });
  const send = "f".repeat(5000);
  for (const address of [web, internet.web6]) assert.equal(await udp(inside, { address, port: 7000, send }), send);
  assert.notEqual(await udp(inside, { address: other, port: 7000, send }), send);
  const denials = await eventually(
    async () => (await lab.gateway.denials(vm.id)).filter(({ kind }) => kind === "packet"),
    (denials) => denials.length > 0,
  );
  assert.deepEqual([denials[0]?.address, denials[0]?.port, denials[0]?.protocol], [other, 7000, "udp"]);
});

test("bounds of speed hold in both directions", async () => {
  const { inside } = await lab.guest({ mode: "open", sendBytesPerSecond: 65_536, receiveBytesPerSecond: 65_536 });
  // 600 datagrams of 1,000 bytes at once: what is over the burst of 256 KiB is lost
  const passed = await inside.run(async ({ dgram }, address) => {
    const socket = dgram.createSocket("udp4");
    let received = 0;
    socket.on("message", () => (received += 1));
    for (let count = 0; count < 600; count += 1)
      await new Promise((sent) => socket.send(Buffer.alloc(1000), 7000, address, sent));
    await new Promise((later) => setTimeout(later, 500));
    socket.close();
    return received;
  }, web);
  assert.ok(passed > 50 && passed < 500, String(passed));
});

test("a service is for guests whose policy names it, on its port alone, and ends with that", async (t) => {
  const path = lab.socket("echo");
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.write("hello from the host\n");
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  await lab.put({
    services: [
      { name: "echo", port: 80, socket: path },
      { name: "away", port: 8081, socket: lab.socket("x") },
    ],
  });
  const user = await lab.guest({ mode: "none", services: ["echo", "away"] });
  const stranger = await lab.guest({ mode: "open" });
  const allowing = await lab.guest({ mode: "allow", allow: [], services: ["echo"] });
  for (const address of [lab.state.ipv4.gateway, lab.state.ipv6.gateway]) {
    assert.equal(await tcp(user.inside, { address, port: 80 }), "hello from the host\n");
    assert.equal(await tcp(allowing.inside, { address, port: 80 }), "hello from the host\n");
    assert.equal(await tcp(stranger.inside, { address, port: 80 }), "ECONNREFUSED");
    assert.match(await tcp(user.inside, { address, port: 8081 }), /^(CLOSED|ECONNRESET)$/);
  }
  const line = await Line.open(user.inside, { address: lab.state.ipv4.gateway, port: 80 });
  assert.equal(await line.echoes("through"), true);
  await lab.policy(user.vm, { mode: "none", services: [] });
  assert.equal(await line.echoes("ended"), false);
  await lab.put({ services: [] });
  assert.equal(await tcp(allowing.inside, { address: lab.state.ipv4.gateway, port: 80 }), "ECONNREFUSED");
  await fs.rm(path, { force: true });
});
