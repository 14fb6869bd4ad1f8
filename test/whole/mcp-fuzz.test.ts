import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { test } from "node:test";
import * as fc from "fast-check";
import { withDaemon, type TestDaemon } from "@workfort/testing";

/** What no client sends, at MCP's door: it is answered, never with a defect of the daemon, and nothing is left. */
const runs = 600;
const config = "api:\n  listen: 127.0.0.1:0\n";

const methods = [
  "initialize",
  "ping",
  "tools/list",
  "tools/call",
  "server/discover",
  "notifications/cancelled",
  "notifications/initialized",
  "resources/list",
  "subscriptions/listen",
  "",
  "__proto__",
];
const tools = ["vm_list", "vm_inspect", "run_command", "file_write", "command_wait", "constructor", ""];
const revisions = ["2026-07-28", "2025-11-25", "2024-11-05", "1.0", "", "9".repeat(300)];

const scalar = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 0, 2 ** 53, 1e308, "\u0000", "__proto__", "../.."));
const name = fc.oneof(fc.constantFrom(...tools), fc.string());
const args = fc.dictionary(fc.constantFrom("vm", "command", "path", "content", "commandId", "__proto__"), scalar);
const params = fc.oneof(
  scalar,
  fc.record({ name, arguments: fc.oneof(args, scalar), _meta: scalar }, { requiredKeys: [] }),
  fc.record(
    {
      protocolVersion: fc.oneof(fc.constantFrom(...revisions), scalar),
      capabilities: scalar,
      clientInfo: scalar,
      requestId: scalar,
    },
    { requiredKeys: [] },
  ),
);
const message = fc.record(
  {
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant("2.0") }, scalar),
    id: fc.oneof(fc.integer(), fc.string(), scalar),
    method: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...methods) }, scalar),
    params,
    result: scalar,
  },
  { requiredKeys: ["jsonrpc"] },
);
const body = fc.oneof(
  { weight: 8, arbitrary: message.map((value) => JSON.stringify(value)) },
  fc.array(message, { maxLength: 5 }).map((value) => JSON.stringify(value)),
  fc.json(),
  fc.string(),
  fc.tuple(message, fc.nat(200)).map(([value, length]) => JSON.stringify(value).slice(0, length)),
);
const clients = { accept: "application/json, text/event-stream", "content-type": "application/json" };
interface Visit {
  path: string;
  method: string;
  headers: Record<string, string>;
  body: string;
}

/** anything at all */
const strangers: fc.Arbitrary<Visit> = fc.record({
  body,
  path: fc.constantFrom("/mcp", "/mcp", "/v1/vms/dev/mcp"),
  method: fc.constantFrom("POST", "POST", "POST", "DELETE"),
  headers: fc.record(
    {
      "mcp-protocol-version": fc.constantFrom(...revisions),
      "mcp-session-id": fc.constantFrom("", "none", "0".repeat(4000)),
      "mcp-method": fc.constantFrom(...methods),
      "mcp-name": fc.constantFrom(...tools),
      accept: fc.constantFrom("application/json, text/event-stream", "application/json", "*/*", "text/html"),
      "content-type": fc.constantFrom("application/json", "text/plain", "application/json; charset=latin1"),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Record<string, string>>,
});

/** in a session that has begun: what is asked is well-formed, and then it is not */
const inSession = (id: string): fc.Arbitrary<Visit> => {
  const calls = fc.record({ name, arguments: args });
  return fc
    .oneof(
      { weight: 4, arbitrary: calls.map((given) => ({ method: "tools/call", params: given })) },
      { weight: 1, arbitrary: fc.record({ method: fc.constantFrom(...methods), params }) },
    )
    .map((asked) => ({
      path: "/mcp",
      method: "POST",
      headers: { ...clients, "mcp-session-id": id },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...asked }),
    }));
};

interface Answer {
  status: number;
  session: string;
  text: string;
}

/** Its answer with the first piece of it; it may be a stream without an end. */
async function visitWith(tcp: string, secret: string, { method, path, headers, body: sent }: Visit): Promise<Answer> {
  const [host, port] = tcp.split(":");
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const asked = request(
    {
      host,
      port,
      method,
      path,
      agent: false,
      signal: AbortSignal.timeout(30_000),
      headers: { ...clients, ...headers, authorization: `Bearer ${secret}` },
    },
    (answer) => {
      const status = answer.statusCode ?? 0;
      const session = String(answer.headers["mcp-session-id"]);
      answer.once("data", (bytes: Buffer) => {
        resolve({ status, session, text: bytes.toString() });
        asked.destroy();
      });
      answer.once("end", () => resolve({ status, session, text: "" }));
      answer.on("error", () => {});
    },
  );
  asked.on("error", reject);
  asked.end(method === "POST" ? sent : "");
  return await promise;
}

const initialize = {
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "fuzz", version: "1" } },
};

const residentBytes = (daemon: TestDaemon): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]) * 1024;

test("whatever comes to MCP's door is answered, and the daemon stays as it was", () =>
  withDaemon({ config }, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 128 } });
    const { secret } = await daemon.client.call("token.create", { body: { name: "all", vms: null } });
    const tcp = (await daemon.client.call("system.status")).tcp ?? "";
    const before = await daemon.client.call("vm.list");
    const ask = (wanted: Visit): Promise<Answer> => visitWith(tcp, secret, wanted);
    const begun = await ask({ path: "/mcp", method: "POST", headers: {}, body: JSON.stringify(initialize) });
    let answered = 0;
    for (const visits of [strangers, inSession(begun.session)])
      await fc.assert(
        fc.asyncProperty(visits, async (wanted) => {
          const { status, text } = await ask(wanted);
          assert.ok(status >= 200 && status < 500, `${status} ${text}`);
          // the SDK says -32603 of parameters that fail its own schemas, too, and lists what is wrong with them
          if (!/invalid_(type|value|union|format)|unrecognized_keys/.test(text)) assert.doesNotMatch(text, /-32603/);
          assert.doesNotMatch(text, /\bat .*\.ts:\d/, "no piece of a stack");
          if (status === 200) answered += 1;
        }),
        { numRuns: runs },
      );
    assert.ok(answered > runs / 2, `${answered} came through to the tools`);
    assert.equal((await daemon.client.call("system.health")).status, "ok");
    assert.deepEqual(await daemon.client.call("vm.list"), before);
    assert.doesNotMatch(daemon.log, /"level":"(error|fatal)"/);
    assert.ok(residentBytes(daemon) < 400 * 1024 ** 2, `${residentBytes(daemon)} bytes`);
  }));
