import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { refusal, withDaemon } from "@workfort/testing";
import { headServer, serveInGuest } from "./fixtures/guest-servers.ts";
import { ask, type Answer } from "./raw-http.ts";

/** A VM's ports for a browser, through the door of the API. */

const params = { vm: "dev" };

test("a VM's port in a browser: closed to all but the owner, and the guest is not given what opens it", async (context) => {
  await withDaemon({ config: "api:\n  listen: 127.0.0.1:0\n" }, async (daemon) => {
    const { client } = daemon;
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();
    await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    const { tcp } = await client.call("system.status");
    const port = Number(tcp?.split(":")[1]);
    const host = `3000-dev.localhost:${port}`;
    const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
      ask({ host: "127.0.0.1", port }, { path, headers: { host, ...headers } });
    const preview = (guestPort: string) => client.call("vm.preview", { params: { ...params, port: guestPort } });
    const bearer = {
      authorization: `Bearer ${(await fs.readFile(join(daemon.locations.stateDirectory, "token"), "utf8")).trim()}`,
    };

    await step("before it runs: closed to strangers, and the owner is told why there is nothing", async () => {
      assert.equal((await get("/")).status, 401);
      const told = await get("/", bearer);
      assert.deepEqual(
        [told.status, told.body.toString().split("\n")[0]],
        [409, 'VM "dev" does not run (it is created)'],
      );
    });
    await client.call("vm.start", { params, body: {} });
    await serveInGuest(daemon, headServer(3000));
    let cookie = "";

    await step("a ticket opens once, and is exchanged for a cookie", async () => {
      const { url, urlWithTicket } = await preview("3000");
      assert.equal(url, `http://${host}/`);
      const path = urlWithTicket.slice(url.length - 1);
      const first = await get(`${path}&page=2`);
      assert.deepEqual([first.status, first.headers.location], [303, "/?page=2"]);
      const [set = ""] = first.headers["set-cookie"] ?? [];
      assert.match(set, /; Path=\/; HttpOnly; SameSite=Lax$/);
      cookie = set.split(";")[0] ?? "";
      assert.equal((await get(path)).status, 401, "again");
    });
    await step(
      "with the cookie the guest answers; it sees the caller's cookies, but not this one, nor the token",
      async () => {
        const { status, body } = await get("/a?b=c", { cookie: `mine=1; ${cookie}; theirs=2`, "x-mine": "yes" });
        assert.equal(status, 200);
        const head = body.toString();
        assert.match(head, /^GET \/a\?b=c HTTP\/1\.1\r\n/);
        assert.match(head, new RegExp(`\r\nhost: ${host}\r\n`, "i"));
        assert.match(head, /\r\nx-mine: yes\r\n/i);
        assert.match(head, /\r\ncookie: mine=1; theirs=2\r\n/i);
        assert.doesNotMatch(head, /workfort_preview/);
        assert.doesNotMatch((await get("/", bearer)).body.toString(), /authorization/i);
      },
    );
    await step("it opens no other port, no other VM, and not the API", async () => {
      for (const other of [`3001-dev.localhost:${port}`, `3000-other.localhost:${port}`])
        assert.equal((await get("/", { host: other, cookie })).status, 401, other);
      assert.equal((await get("/v1/vms", { host: `localhost:${port}`, cookie })).status, 401);
      for (const strange of [
        `3000-dev.localhost:${port === 1 ? 2 : 1}`,
        `0-dev.localhost:${port}`,
        `70000-dev.localhost:${port}`,
      ])
        assert.equal((await get("/", { host: strange, cookie })).status, 403, strange);
    });
    await step("a port on which nothing listens is said to be so", async () => {
      const { status, body } = await get("/", { host: `3999-dev.localhost:${port}`, ...bearer });
      assert.equal(status, 502);
      assert.match(body.toString(), /3999/);
    });
    await step("an answer that breaks off is no whole one", async () => {
      await assert.rejects(get("/broken", { cookie }));
    });
    await step("WebSockets and other upgrades pass, but not from pages of other sites", async () => {
      const upgrade = { connection: "Upgrade", upgrade: "echo", cookie };
      assert.equal(await upgradeAndEcho(port, { host, ...upgrade, origin: `http://${host}` }, "hello"), "hello");
      assert.equal(await upgradeAndEcho(port, { host, ...upgrade, origin: "http://evil.example" }, "hello"), 403);
      assert.equal(await upgradeAndEcho(port, { host, connection: "Upgrade", upgrade: "echo" }, "hello"), 401);
    });
  });
});

test("without TCP there are no previews, and it is said what to do", () =>
  withDaemon({}, async (daemon) => {
    const preview = () => daemon.client.call("vm.preview", { params: { ...params, port: "3000" } });
    assert.equal((await refusal(preview())).code, "not_found");
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base" } });
    assert.equal((await refusal(preview())).code, "wrong_state");
  }));

/** What comes back through an upgraded connection; the status where it is refused. */
async function upgradeAndEcho(port: number, headers: Record<string, string>, text: string): Promise<string | number> {
  const outgoing = request({ host: "127.0.0.1", port, path: "/socket", headers, agent: false });
  const { promise, resolve, reject } = Promise.withResolvers<string | number>();
  outgoing.once("error", reject);
  outgoing.once("response", (answer) => {
    answer.resume();
    resolve(answer.statusCode ?? 0);
  });
  outgoing.once("upgrade", (_answer, socket, head) => {
    socket.write(text);
    let heard = head.toString();
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard.length < text.length) return;
      socket.destroy();
      resolve(heard);
    });
  });
  outgoing.end();
  const [socket] = (await once(outgoing, "socket")) as [NodeJS.EventEmitter];
  socket.once("error", () => {});
  return await promise;
}
