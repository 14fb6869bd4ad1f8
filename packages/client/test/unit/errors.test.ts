import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AnswerError, createClient, DaemonUnreachable, WorkfortError } from "@workfort/client";
import { sendJson, TestServer } from "../helpers/server.ts";

const params = { vm: "dev" };

test("a problem answer becomes the WorkfortError it was", async () => {
  const problem = new WorkfortError("wrong_state", 'VM "dev" is running', {
    hint: "nexusctl vm stop dev",
    fields: [{ field: "body.name", message: "another one" }],
  }).toProblem();
  await using server = await TestServer.start((_, response) => sendJson(response, problem, 409));
  await assert.rejects(server.client.call("vm.get", { params }), (error) => {
    assert.ok(error instanceof WorkfortError);
    assert.deepEqual(error.toProblem(), problem);
    return true;
  });
});

test("a code of a newer daemon becomes the known one of its status", async () => {
  await using server = await TestServer.start((_, response) =>
    sendJson(response, { type: "urn:x", code: "quota", title: "t", status: 409, detail: "too much" }, 409),
  );
  await assert.rejects(server.client.call("vm.get", { params }), {
    name: "WorkfortError",
    code: "name_taken",
    message: "too much",
  });
});

for (const [what, body] of [
  ["no body", ""],
  ["text", "Bad Gateway"],
  ["other JSON", "[1]"],
  ["null", "null"],
  ["a huge body", "x".repeat(2 * 1024 * 1024)],
] as const) {
  test(`an error with ${what} is an AnswerError with the status`, async () => {
    await using server = await TestServer.start((_, response) => void response.writeHead(502).end(body));
    await assert.rejects(
      server.client.call("vm.get", { params }),
      (error) => error instanceof AnswerError && /status 502/.test(error.message),
    );
  });
}

test("an answer that is not JSON is an AnswerError", async () => {
  await using server = await TestServer.start((_, response) => void response.end("<html>"));
  await assert.rejects(server.client.call("system.status"), AnswerError);
});

test("an answer over 64 MiB is refused while it arrives", async () => {
  const piece = Buffer.alloc(1024 * 1024, " ");
  let sent = 0;
  await using server = await TestServer.start((_, response) => {
    const more = (): void => {
      while (!response.destroyed && sent < 200) {
        sent += 1;
        if (!response.write(piece)) return void response.once("drain", more);
      }
    };
    more();
  });
  await assert.rejects(server.client.call("system.status"), /over 64 MiB/);
  assert.ok(sent < 100, `${sent} MiB were taken`);
});

test("without a socket the daemon is missing", async () => {
  const client = createClient({ socket: "/nonexistent/nexus.sock" });
  await assert.rejects(client.call("system.status"), (error) => {
    assert.ok(error instanceof DaemonUnreachable);
    assert.deepEqual([error.reason, error.code, error.address], ["missing", "ENOENT", "/nonexistent/nexus.sock"]);
    return true;
  });
});

test("on a socket without a listener it is refused", async () => {
  const socket = join(await mkdtemp(join(tmpdir(), "client-")), "d.sock");
  const { promise, resolve } = Promise.withResolvers<void>();
  // a listener's socket stays where its file is linked a second time
  const listener = createServer().listen(socket, resolve);
  await promise;
  const { link } = await import("node:fs/promises");
  await link(socket, `${socket}2`);
  listener.close();
  await assert.rejects(createClient({ socket: `${socket}2` }).call("system.status"), {
    name: "DaemonUnreachable",
    reason: "refused",
  });
  rmSync(join(socket, ".."), { recursive: true });
});

test("a connection cut before the answer is lost", async () => {
  await using server = await TestServer.start((request) => void request.socket.destroy());
  await assert.rejects(server.client.call("vm.kill", { params }), { name: "DaemonUnreachable", reason: "lost" });
});

test("a connection cut in the middle of the answer is lost", async () => {
  await using server = await TestServer.start((_, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write('{"version":', () => response.destroy());
  });
  await assert.rejects(server.client.call("system.status"), { name: "DaemonUnreachable", reason: "lost" });
});
