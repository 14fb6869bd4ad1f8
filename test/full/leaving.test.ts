import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { eventually, withDaemon, type TestDaemon } from "@workfort/testing";

/** Clients that go away: anywhere in what they ask, and anywhere in what they are answered. */
const params = { vm: "dev" };
const vm = "/v1/vms/dev";
const whole = "x".repeat(3000);

interface Visit {
  head: string;
  body?: string | Buffer;
  headers?: Record<string, string>;
}

const json = (head: string, body: object): Visit => ({
  head,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
});
const bytes = (head: string, body: string | Buffer): Visit => ({
  head,
  body,
  headers: { "content-type": "application/octet-stream" },
});
/** a call of a tool in the newest revision, each by itself */
const call = (name: string, args: object): Visit => {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const asked = { name, arguments: { vm: "dev", ...args }, _meta: meta };
  const visit = json("POST /mcp", { jsonrpc: "2.0", id: 1, method: "tools/call", params: asked });
  const about = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": name };
  return { ...visit, headers: { ...visit.headers, ...about } };
};

/** Each leaves something in the guest whole, or not at all. */
const visits = (tar: Buffer): Record<string, Visit> => ({
  exec: json(`POST ${vm}/exec`, { argv: ["sh", "-c", "cat; seq 3000"], stdin: whole }),
  attach: json(`POST ${vm}/processes`, { argv: ["seq", "100000"], attach: true }),
  wait: { head: `GET ${vm}/processes/lives/wait` },
  output: { head: `GET ${vm}/processes/lives/output?follow=true` },
  stdin: bytes(`POST ${vm}/processes/lives/stdin?offset=0`, ""),
  stats: { head: `GET ${vm}/stats` },
  write: bytes(`PUT ${vm}/files/content?path=/srv/kept/file`, whole),
  read: { head: `GET ${vm}/files/content?path=/srv/large` },
  list: { head: `GET ${vm}/files/list?path=/&depth=3` },
  search: json(`POST ${vm}/files/search`, { path: "/usr", pattern: "e" }),
  watch: { head: `GET ${vm}/files/watch?path=/srv` },
  archive: { head: `GET ${vm}/files/archive?path=/usr/share` },
  unpack: bytes(`PUT ${vm}/files/archive?path=/srv/kept`, tar),
  console: { head: `GET ${vm}/console?follow=true` },
  events: { head: "GET /v1/events?after=0" },
  type: bytes(`POST ${vm}/terminals/main/input`, "\n"),
  look: {
    head: `GET ${vm}/terminals/main`,
    headers: {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "MDEyMzQ1Njc4OWFiY2RlZg==",
      "sec-websocket-protocol": "workfort.terminal",
    },
  },
  tool: call("run_command", { command: "seq 3000" }),
  "tool for a file": call("file_write", { path: "/srv/kept/by-tool", content: whole }),
});

const silent = new Set(["wait", "output"]);
const waiting = new Set(["watch", "console", "events", "look"]);

function rawOf({ head, body = "", headers = {} }: Visit): Buffer {
  const about = { host: "daemon", connection: "close", ...headers, "content-length": String(Buffer.byteLength(body)) };
  const lines = Object.entries(about);
  const text = `${head} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return Buffer.concat([Buffer.from(text), Buffer.from(body)]);
}

/** Sends so many bytes of a request, and leaves when so many of its answer have come; none: once they are sent. */
async function visitAndLeave(daemon: TestDaemon, request: Buffer, answerBytes: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(daemon.locations.socket);
  socket.once("close", () => resolve());
  socket.on("error", () => {});
  let received = 0;
  socket.on("data", (piece) => {
    received += piece.length;
    if (received >= answerBytes) socket.destroy();
  });
  socket.once("end", () => socket.destroy()); // the answer was shorter
  socket.write(request, () => {
    if (answerBytes === 0) socket.destroy();
  });
  await promise;
}

const openFiles = async (daemon: TestDaemon): Promise<number> => (await fs.readdir(`/proc/${daemon.pid}/fd`)).length;

test("clients that leave at any point leave nothing behind", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    await daemon.importBase();
    await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await client.call("vm.start", { params, body: {} });
    const run = async (script: string): Promise<string> =>
      (await client.call("vm.exec", { params, body: { argv: ["sh", "-ec", script] } })).stdout;
    await run(
      "mkdir -p /srv/kept /srv/from; head -c 3000 /dev/zero >/srv/from/unpacked; head -c 2000000 /dev/zero >/srv/large",
    );
    const { body } = await client.bytes("vm.files.archive", { params, query: { path: "/srv/from" } });
    const tar = Buffer.concat(await Array.fromAsync(body));
    await client.call("process.start", { params, body: { id: "lives", argv: ["cat"], stdin: "open" } });
    await client.call("vm.terminal.create", { params, body: { argv: ["cat"] } });
    const before = await openFiles(daemon);

    for (const [name, visit] of Object.entries(visits(tar))) {
      const raw = rawOf(visit);
      const cuts = Array.from({ length: 6 }, (_, index) => Math.floor((raw.length * index) / 6));
      // some say little or nothing, and go on waiting
      const most = silent.has(name) ? 0 : waiting.has(name) ? 1 : 4000;
      await Promise.all([
        ...cuts.map((cut) => visitAndLeave(daemon, raw.subarray(0, cut), 0)),
        ...[0, 1, 40, 400, 4000].map((some) => visitAndLeave(daemon, raw, Math.min(some, most))),
      ]);
      assert.equal((await client.call("system.health")).status, "ok", name);
    }

    // a tool's work ends with its call, if it is not done
    await eventually(
      () => run("cd /srv/kept; wc -c * | sed /total/d | tr -s ' '; pgrep -c 'seq|guest-agent' || true"),
      (left) => /^( ?3000 by-tool\n)? ?3000 file\n ?3000 unpacked\n0\n$/.test(left),
    );
    const { processes } = await client.call("process.list", { params });
    assert.deepEqual(
      processes.filter(({ state }) => state === "running").map(({ id }) => id),
      ["lives"],
    );
    await eventually(
      () => client.call("vm.terminal.get", { params: { ...params, terminal: "main" } }),
      ({ viewers, state }) => viewers === 0 && state === "running",
    );
    await eventually(
      () => openFiles(daemon),
      (count) => count <= before + 4,
    );
    assert.doesNotMatch(daemon.log, /"level":"(error|fatal)"/);
  }));
