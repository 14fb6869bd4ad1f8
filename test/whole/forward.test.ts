import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { connect, createServer, type NetConnectOpts } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Forward } from "@workfort/contract";
import { assertTidy, refusal, withDaemon, type TestDaemon } from "@workfort/testing";
import { echoServer, serveInGuest } from "./fixtures/guest-servers.ts";

/** Connections from the host into a VM, which has no network at all. */

const params = { vm: "dev" };

test("connections to the host's port or socket come out in the guest, and what breaks off is no end", async (context) => {
  await withDaemon({}, async (daemon) => {
    const { client } = daemon;
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    const create = (body: Parameters<typeof client.call<"forward.create">>[1]["body"]): Promise<Forward> =>
      client.call("forward.create", { params, body });
    await startVm(daemon);
    await serveInGuest(daemon, echoServer({ port: 3000 }));
    await serveInGuest(daemon, echoServer({ socket: "/run/echo" }));
    const socket = join(daemon.directory, "echo");
    const port = await create({ hostPort: 0, guestPort: 3000 });
    const host = placeOf(port);

    await step("several megabytes come back whole, after the caller has said its last word", async () => {
      const sent = randomBytes(3_000_000);
      assert.deepEqual(await sendAndHear(host, sent), sent);
    });
    await step("many at once", async () => {
      const texts = Array.from({ length: 40 }, (_, index) => Buffer.from(`connection ${index}`));
      assert.deepEqual(await Promise.all(texts.map((text) => sendAndHear(host, text))), texts);
    });
    await step("Unix sockets at either end", async () => {
      const there = await create({ hostSocket: socket, guestSocket: "/run/echo" });
      assert.equal(there.listen, socket);
      assert.equal((await fs.stat(socket)).mode & 0o777, 0o600);
      assert.equal((await sendAndHear({ path: socket }, Buffer.from("hello"))).toString(), "hello");
    });
    await step("where nothing listens in the guest, the caller is told by a reset", async () => {
      const silent = await create({ hostPort: 0, guestPort: 3999 });
      await assert.rejects(sendAndHear(placeOf(silent), Buffer.from("hello")), { code: "ECONNRESET" });
      await client.call("forward.delete", { params: { forward: silent.id } });
      await assert.rejects(sendAndHear(placeOf(silent), Buffer.from("hello")), { code: "ECONNREFUSED" });
    });
    await step("a port or file that is taken is named, and nothing is recorded", async () => {
      const before = await client.call("forward.list");
      const taken = createServer();
      taken.listen(0, "127.0.0.1");
      await once(taken, "listening");
      const hostPort = (taken.address() as { port: number }).port;
      const refused = await refusal(create({ hostPort, guestPort: 3000 }));
      assert.deepEqual(
        [refused.code, refused.message],
        ["in_use", `127.0.0.1:${hostPort} is in use by another program`],
      );
      taken.close();
      const file = join(daemon.directory, "file");
      await fs.writeFile(file, "mine");
      assert.equal((await refusal(create({ hostSocket: file, guestPort: 3000 }))).code, "in_use");
      assert.equal(await fs.readFile(file, "utf8"), "mine");
      assert.deepEqual(await client.call("forward.list"), before);
    });
    await step("they outlive the daemon: killed, and started again, it listens in the same places", async () => {
      const open = connect(host);
      await once(open, "connect");
      open.on("error", () => {}); // reset, or closed: either is an end
      const broken = new Promise((resolve) => open.once("close", resolve));
      await daemon.die();
      await broken;
      await daemon.start();
      assert.equal((await sendAndHear(host, Buffer.from("again"))).toString(), "again");
      assert.equal((await sendAndHear({ path: socket }, Buffer.from("again"))).toString(), "again");
      const { forwards } = await client.call("forward.list", { query: params });
      assert.deepEqual(
        forwards.map(({ listening, trouble }) => [listening, trouble]),
        [
          [true, null],
          [true, null],
        ],
      );
    });
    await step("a VM that does not run answers by a reset, and takes its forwards with it when it goes", async () => {
      await client.call("vm.kill", { params });
      await assert.rejects(sendAndHear(host, Buffer.from("hello")), { code: "ECONNRESET" });
      await client.call("vm.delete", { params });
      await assert.rejects(sendAndHear(host, Buffer.from("hello")), { code: "ECONNREFUSED" });
      await assert.rejects(fs.stat(socket), { code: "ENOENT" });
      assert.deepEqual(await client.call("forward.list"), { forwards: [] });
    });
    await assertTidy(daemon);
  });
});

async function startVm(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params, body: {} });
}

function placeOf({ listen }: Forward): NetConnectOpts {
  const at = listen.lastIndexOf(":");
  return { host: listen.slice(0, at), port: Number(listen.slice(at + 1)) };
}

/** Sends all, says its last word, and hears until the other's. */
async function sendAndHear(where: NetConnectOpts, bytes: Buffer): Promise<Buffer> {
  const socket = connect({ ...where, allowHalfOpen: true });
  await once(socket, "connect");
  socket.end(bytes);
  return Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>));
}
