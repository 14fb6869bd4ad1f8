import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createClient, DaemonUnreachable } from "@workfort/client";
import { readAll, sendJson, TestServer } from "../helpers/server.ts";

const vm = { vm: "dev" };

test("a call sends method, path, query and JSON, and gives the result", async () => {
  await using server = await TestServer.start(async (request, response) => {
    sendJson(response, { got: (await readAll(request)).toString(), type: request.headers["content-type"] });
  });
  const result = await server.client.call("vm.create", { body: { name: "ä", image: "base" } });
  assert.deepEqual(result, { got: '{"name":"ä","image":"base"}', type: "application/json" });
  assert.deepEqual(await server.client.call("vm.list", { query: { state: "running" } }), { got: "" });
  assert.deepEqual(server.requests, ["POST /v1/vms", "GET /v1/vms?state=running"]);
});

test("an operation without a result gives undefined", async () => {
  await using server = await TestServer.start((_, response) => void response.writeHead(204).end());
  assert.equal(await server.client.call("vm.delete", { params: vm, query: { keepWorkspace: "true" } }), undefined);
});

test("connections are kept for the next call", async () => {
  await using server = await TestServer.start((_, response) => sendJson(response, {}));
  for (let call = 0; call < 5; call += 1) await server.client.call("system.status");
  assert.equal(server.connections, 1);
});

test("a kept connection that was closed meanwhile is no failure of a GET", async () => {
  let calls = 0;
  await using server = await TestServer.start((request, response) => {
    calls += 1;
    // the second request on a kept connection meets a daemon that has just closed it
    if (calls === 2) request.socket.destroy();
    else sendJson(response, { calls });
  });
  await server.client.call("system.status");
  assert.deepEqual(await server.client.call("system.status"), { calls: 3 });
});

test("over TCP the token goes with every request", async () => {
  const server = createServer((request, response) => sendJson(response, { token: request.headers.authorization }));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const client = createClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: "s3cret" });
  assert.deepEqual(await client.call("system.status"), { token: "Bearer s3cret" });
  client.close();
  server.close();
});

test("an aborted call rejects with the reason, before and during the answer", async () => {
  await using server = await TestServer.start((_, response) => void response.writeHead(200).write("{"));
  const reason = new Error("enough");
  await assert.rejects(server.client.call("system.status", undefined, { signal: AbortSignal.abort(reason) }), reason);
  const abort = new AbortController();
  const answer = await server.client.bytes("vm.console", { params: vm }, { signal: abort.signal });
  const reading = readAll(answer.body);
  abort.abort(reason);
  await assert.rejects(reading, reason);
});

test("a stream of bytes is read no faster than its reader takes it", async () => {
  const piece = Buffer.alloc(256 * 1024);
  let sent = 0;
  await using server = await TestServer.start((_, response) => {
    const more = (): void => {
      do sent += 1;
      while (response.write(piece) && sent < 400);
      if (sent < 400) response.once("drain", more);
      else response.end();
    };
    more();
  });
  const { body } = await server.client.bytes("vm.console", { params: vm });
  const reader = body[Symbol.asyncIterator]();
  await reader.next();
  // other requests are answered all the while, and after each the server would have sent more if it could
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(sent < 40, `${sent} pieces were sent to a reader that took one`);
  let bytes = 0;
  for await (const chunk of { [Symbol.asyncIterator]: () => reader }) bytes += chunk.length;
  assert.equal(sent, 400);
  assert.ok(bytes > 0);
});

test("a stream that its reader leaves is closed at the server", async () => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  await using server = await TestServer.start((_, response) => {
    response.once("close", resolve);
    response.write("x");
  });
  const { body } = await server.client.bytes("vm.console", { params: vm });
  for await (const _ of body) break;
  await closed;
});

test("a streamed body arrives whole, and slowly where the server reads slowly", async () => {
  await using server = await TestServer.start(async (request, response) =>
    sendJson(response, { accepted: (await readAll(request)).length }),
  );
  const result = await server.client.send("process.stdin", { params: { ...vm, process: "p" } }, pieces(50));
  assert.deepEqual(result, { accepted: 50 * 65_536 });
  assert.match(server.requests[0] ?? "", /^POST \/v1\/vms\/dev\/processes\/p\/stdin$/);
});

test("an answer before the end of a body ends its sending", async () => {
  await using server = await TestServer.start((_, response) => sendJson(response, { accepted: 0 }));
  let ended = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield await Promise.resolve(Buffer.alloc(65_536));
    } finally {
      ended = true;
    }
  }
  await server.client.send("process.stdin", { params: { ...vm, process: "p" } }, endless());
  for (let turn = 0; turn < 100 && !ended; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(ended);
});

test("a source that fails fails the call", async () => {
  await using server = await TestServer.start(async (request) => void (await readAll(request).catch(() => {})));
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("a");
    throw new Error("no more");
  }
  await assert.rejects(
    server.client.send("process.stdin", { params: { ...vm, process: "p" } }, broken()),
    DaemonUnreachable,
  );
});

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < count; piece += 1) yield await Promise.resolve(Buffer.alloc(65_536, piece));
}
