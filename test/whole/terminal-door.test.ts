import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { bearerProtocolPrefix, terminalProtocol, type Problem } from "@workfort/contract";
import { withDaemon, type TestDaemon } from "@workfort/testing";
import { WebSocket, type ClientOptions } from "ws";

/** Who may come in by a terminal's WebSocket, and what is said to it. Without a VM that runs: that is terminals.test.ts. */

const path = "/v1/vms/dev/terminals/main";
const headers = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": Buffer.alloc(16).toString("base64"),
};

/** what a WebSocket came to: refused before the upgrade, or told something on it */
interface Said {
  status: number;
  problem: Problem | null;
  closed: number | null;
}

async function knock(url: string, protocols: string[], options: ClientOptions = {}): Promise<Said> {
  const socket = new WebSocket(url, protocols, options);
  const { promise, resolve } = Promise.withResolvers<Said>();
  socket.on("error", () => {});
  socket.once("unexpected-response", (_request, answer) => {
    void Array.fromAsync(answer as AsyncIterable<Buffer>).then((chunks) =>
      resolve({
        status: answer.statusCode ?? 0,
        problem: JSON.parse(Buffer.concat(chunks).toString()) as Problem,
        closed: null,
      }),
    );
  });
  let problem: Problem | null = null;
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString("utf8")) as { type: string; fatal: boolean; problem: Problem };
    assert.deepEqual([message.type, message.fatal], ["error", true]);
    problem = message.problem;
  });
  socket.once("close", (closed) => resolve({ status: 101, problem, closed }));
  const said = await promise;
  socket.terminate();
  return said;
}

async function doorOf(daemon: TestDaemon): Promise<{ base: string; port: number; token: string }> {
  const { tcp } = await daemon.client.call("system.status");
  const token = (await fs.readFile(join(daemon.locations.stateDirectory, "token"), "utf8")).trim();
  return { base: `ws://${tcp}`, port: Number(tcp?.split(":").at(-1)), token };
}

test("the WebSocket of a terminal has the API's guard", (context) =>
  withDaemon({ config: "api:\n  listen: 127.0.0.1:0\n" }, async (daemon) => {
    const { base, port, token } = await doorOf(daemon);
    const bearer = { authorization: `Bearer ${token}` };
    const codeOf = async (protocols: string[], options: ClientOptions, where = path): Promise<string> => {
      const { status, problem } = await knock(`${base}${where}`, protocols, options);
      return `${status} ${problem?.code}`;
    };
    const inside = "101 not_found"; // there is no such VM, which is told on the WebSocket

    await context.test("a token, in the header or, as a browser has to, as a subprotocol", async () => {
      assert.equal(await codeOf([terminalProtocol], { headers: bearer }), inside);
      assert.equal(await codeOf([terminalProtocol, `${bearerProtocolPrefix}${token}`], {}), inside);
      assert.equal(await codeOf([terminalProtocol], {}), "401 unauthorized");
      assert.equal(
        await codeOf([terminalProtocol, `${bearerProtocolPrefix}${token.slice(1)}`], {}),
        "401 unauthorized",
      );
      const wrong = { headers: { authorization: "Bearer wrong" } };
      assert.equal(await codeOf([terminalProtocol, `${bearerProtocolPrefix}${token}`], wrong), "401 unauthorized");
    });

    await context.test("no page from elsewhere, even with the token", async () => {
      assert.equal(await codeOf([terminalProtocol], { headers: bearer, origin: `http://127.0.0.1:${port}` }), inside);
      for (const origin of ["http://evil.example", "null", `http://localhost:${port}.evil`])
        assert.equal(await codeOf([terminalProtocol], { headers: bearer, origin }), "403 forbidden_origin", origin);
      const host = { ...bearer, host: `evil.example:${port}` };
      assert.equal(await codeOf([terminalProtocol], { headers: host }), "403 forbidden_origin");
    });

    await context.test("the token is never what the daemon answers with", async () => {
      const socket = new WebSocket(`${base}${path}`, [terminalProtocol, `${bearerProtocolPrefix}${token}`]);
      await once(socket, "open");
      assert.equal(socket.protocol, terminalProtocol);
      socket.terminate();
    });

    await context.test("values that are none are named", async () => {
      for (const [query, field] of [
        ["columns=0&rows=24", "query.columns"],
        ["columns=80&rows=1001", "query.rows"],
        ["columns=80&rows=-1", "query.rows"],
        ["columns=80&rows=1e2", "query.rows"],
        ["columns=80", "query.columns"],
        ["rows=24", "query.columns"],
        ["columns=80&columns=80&rows=24", "query.columns"],
        ["readOnly=yes", "query.readOnly"],
        ["nonsense=1", "query.nonsense"],
      ] as const) {
        const { status, problem } = await knock(`${base}${path}?${query}`, [terminalProtocol], { headers: bearer });
        assert.deepEqual([status, problem?.code, problem?.fields?.[0]?.field], [400, "invalid_request", field], query);
      }
      for (const wrong of ["/v1/vms/UPPER/terminals/main", "/v1/vms/dev/terminals/-x"])
        assert.equal(await codeOf([terminalProtocol], { headers: bearer }, wrong), "400 invalid_request", wrong);
    });

    await context.test(
      "what is no terminal is no WebSocket, and what is no WebSocket an ordinary request",
      async () => {
        const refused = await knock(`${base}/v1/vms`, [terminalProtocol], { headers: bearer });
        assert.equal(refused.status, 200, "the list of VMs, and no upgrade");
        const socket = connect(daemon.locations.socket);
        const lines = Object.entries({ ...headers, upgrade: "h2c", host: "a" }).map(
          ([name, value]) => `${name}: ${value}`,
        );
        socket.end(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
        const [head] = (await once(socket, "data")) as [Buffer];
        assert.match(head.toString(), /^HTTP\/1\.1 404 /);
        socket.destroy();
      },
    );

    await context.test("a VM that does not run, and a terminal's VM that is none, are told on it", async () => {
      await daemon.importBase();
      await daemon.client.call("vm.create", { body: { name: "dev", image: "base" } });
      const { status, problem, closed } = await knock(`${base}${path}`, [terminalProtocol], { headers: bearer });
      assert.deepEqual([status, problem?.code, closed], [101, "wrong_state", 1011]);
    });
  }));
