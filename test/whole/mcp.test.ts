import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  Client,
  StreamableHTTPClientTransport,
  type CallToolResult,
  type ClientOptions,
} from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { checkout, eventually, node, withDaemon, type TestDaemon } from "@workfort/testing";

/** MCP as its clients meet it: the official SDK's client, over HTTP and stdio, in the newest revision and an older one. */
const config = "api:\n  listen: 127.0.0.1:0\nvmm:\n  default: qemu\n";

const eras: Record<string, ClientOptions> = {
  "2026-07-28": { versionNegotiation: { mode: "auto" } },
  "2025-11-25": { versionNegotiation: { mode: "legacy" } },
};

async function urlOf(daemon: TestDaemon, path: string): Promise<URL> {
  return new URL(`http://${(await daemon.client.call("system.status")).tcp}${path}`);
}

async function connect(
  daemon: TestDaemon,
  secret: string,
  path = "/mcp",
  options: ClientOptions = {},
): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, options);
  const requestInit = { headers: { authorization: `Bearer ${secret}` } };
  await client.connect(new StreamableHTTPClientTransport(await urlOf(daemon, path), { requestInit }));
  return client;
}

async function startDev(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params: { vm: "dev" }, body: {} });
}

async function tokenFor(daemon: TestDaemon, name: string, more: object): Promise<string> {
  const body = { name, vms: [], ...more };
  return (await daemon.client.call("token.create", { body })).secret;
}

const call = async (client: Client, name: string, args: Record<string, unknown> = {}): Promise<CallToolResult> =>
  (await client.callTool({ name, arguments: args })) as CallToolResult;
const textOf = ({ content }: CallToolResult): string =>
  content.map((part) => (part.type === "text" ? part.text : "")).join("");
const dataOf = (result: CallToolResult): Record<string, unknown> => {
  assert.notEqual(result.isError, true, textOf(result));
  return result.structuredContent as Record<string, unknown>;
};
const running = async (daemon: TestDaemon): Promise<string[]> =>
  (await daemon.client.call("process.list", { params: { vm: "dev" } })).processes
    .filter(({ state }) => state === "running")
    .map(({ argv }) => argv.join(" "));

test("commands in a VM, by clients of both revisions", () =>
  withDaemon({ config }, async (daemon) => {
    await startDev(daemon);
    const secret = await tokenFor(daemon, "all", { vms: null });
    for (const [era, options] of Object.entries(eras)) {
      const client = await connect(daemon, secret, "/mcp", options);
      assert.equal(client.getNegotiatedProtocolVersion(), era);
      assert.deepEqual(client.getServerCapabilities()?.tools, { listChanged: false }, "which tools there are is fixed");
      const ran = dataOf(
        await call(client, "run_command", {
          vm: "dev",
          command: "cat; pwd; echo $A; echo oops >&2; exit 3",
          cwd: "/etc",
          env: { A: "a b" },
          stdin: "in\n",
        }),
      );
      assert.deepEqual(
        [ran["exitCode"], ran["stdout"], ran["stderr"], ran["truncated"]],
        [3, "in\n/etc\na b\n", "oops\n", false],
      );
      const long = dataOf(
        await call(client, "run_command", { vm: "dev", command: "seq 1 100000", maxOutputBytes: 2000 }),
      );
      assert.match(
        String(long["stdout"]),
        /^1\n2\n.*\[\d+ bytes left out; command_output with stdoutOffset 1000 .*\n99999\n100000\n$/s,
      );
      const rest = dataOf(
        await call(client, "command_output", {
          vm: "dev",
          commandId: long["commandId"],
          stdoutOffset: 1000,
          maxBytes: 4096,
        }),
      );
      assert.ok(String(rest["stdout"]).length === 4096 && rest["more"] === true && rest["stdoutNext"] === 5096);

      const signs = "€".repeat(2000); // of three bytes each
      const command = `printf ${signs}`;
      const some = dataOf(await call(client, "run_command", { vm: "dev", command, maxOutputBytes: 2000 }));
      const [, between] =
        /^€{333}\n\[(\d+) bytes left out; .*Offset 999 .*\]\n€{333}$/.exec(String(some["stdout"])) ?? [];
      assert.equal(Number(between), 6000 - 2 * 999);
      let read = "";
      for (let from = 0; from < 6000;) {
        const where = { vm: "dev", commandId: some["commandId"], stdoutOffset: from, maxBytes: 1024 };
        const part = dataOf(await call(client, "command_output", where));
        read += String(part["stdout"]);
        from = Number(part["stdoutNext"]);
      }
      assert.equal(read, signs);

      const late = dataOf(await call(client, "run_command", { vm: "dev", command: "sleep 60", timeoutSeconds: 1 }));
      assert.deepEqual([late["timedOut"], late["signal"]], [true, "TERM"]);

      const begun = dataOf(await call(client, "run_command_async", { vm: "dev", command: "echo up; sleep 1000" }));
      const { commandId } = begun;
      const waited = dataOf(await call(client, "command_wait", { vm: "dev", commandId, timeoutSeconds: 0.2 }));
      assert.equal(waited["state"], "running");
      await eventually(
        async () => dataOf(await call(client, "command_output", { vm: "dev", commandId }))["stdout"],
        (text) => text === "up\n",
      );
      const { commands } = dataOf(await call(client, "command_list", { vm: "dev" })) as {
        commands: { commandId: string }[];
      };
      assert.ok(commands.some((one) => one.commandId === commandId));
      assert.equal(dataOf(await call(client, "command_kill", { vm: "dev", commandId }))["signal"], "TERM");
      assert.equal(dataOf(await call(client, "command_kill", { vm: "dev", commandId }))["signal"], "TERM", "once more");

      for (const [name, args, words] of [
        ["run_command", { vm: "nobody", command: "true" }, /there is no VM "nobody" \(not_found\)/],
        ["run_command", { vm: "dev", command: "true", user: "nobody-at-all" }, /invalid_request/],
        ["command_wait", { vm: "dev", commandId: "gone" }, /not_found/],
        ["run_command", { vm: "dev" }, /command/],
      ] as const) {
        const refused = await call(client, name, args).catch((error: Error) => ({
          isError: true,
          content: [{ type: "text" as const, text: error.message }],
        }));
        assert.equal(refused.isError, true, name);
        assert.match(textOf(refused), words);
      }
      await client.close();
    }
  }));

test("files in a VM: read by lines, written, edited, listed, searched, deleted", () =>
  withDaemon({ config }, async (daemon) => {
    await startDev(daemon);
    const client = await connect(daemon, await tokenFor(daemon, "files", { vms: ["dev"] }), "/v1/vms/dev/mcp");
    const does = async (name: string, args: Record<string, unknown>): Promise<Record<string, unknown>> =>
      dataOf(await call(client, name, args));
    const path = "/work/src/a file.txt";
    const text = Array.from({ length: 5000 }, (_, index) => `line ${index + 1} ä\n`).join("");
    assert.equal((await does("file_write", { path, content: text, mode: "0640" }))["created"], true);
    const read = await does("file_read", { path, startLine: 4999, maxLines: 1 });
    assert.deepEqual([read["content"], read["nextLine"]], ["line 4999 ä\n", 5000]);
    assert.equal((await does("file_read", { path, startLine: 5000 }))["nextLine"], null);
    const first = await does("file_read", { path });
    assert.deepEqual([String(first["content"]).split("\n").length, first["nextLine"]], [2001, 2001]);

    assert.equal((await does("file_edit", { path, oldText: "line 17 ä", newText: "seventeen" }))["replacements"], 1);
    const twice = await call(client, "file_edit", { path, oldText: "line 18", newText: "x" });
    assert.match(textOf(twice), /is in .* 111 times \(invalid_request\)\n.*replaceAll/);
    assert.match(textOf(await call(client, "file_edit", { path, oldText: "nowhere", newText: "" })), /not_found/);
    assert.equal(
      (await does("file_edit", { path, oldText: "line 18", newText: "x", replaceAll: true }))["replacements"],
      111,
    );
    const found = (await does("file_search", { path: "/work", pattern: "^seven", names: ["*.txt"] })) as {
      matches: { path: string; line: number; text: string }[];
    };
    assert.deepEqual(
      found.matches.map(({ line, text: shown }) => [line, shown]),
      [[17, "seventeen"]],
    );

    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 256));
    await does("file_write", { path: "/work/bytes", content: bytes.toString("base64"), encoding: "base64" });
    const half = await does("file_read", { path: "/work/bytes", encoding: "base64" });
    const rest = await does("file_read", { path: "/work/bytes", encoding: "base64", offset: half["nextOffset"] });
    assert.ok(
      Buffer.concat([half, rest].map(({ content }) => Buffer.from(String(content), "base64"))).equals(bytes),
      "read in two pieces",
    );
    assert.match(textOf(await call(client, "file_edit", { path: "/work/bytes", oldText: "a", newText: "b" })), /UTF-8/);

    const { entries } = (await does("file_list", { path: "/work", depth: 2 })) as {
      entries: { path: string; mode: string }[];
    };
    assert.deepEqual(
      entries.map((entry) => `${entry.mode} ${entry.path}`),
      ["0644 bytes", "0755 src", "0640 src/a file.txt"],
    );
    assert.match(textOf(await call(client, "file_read", { path, user: "nobody" })), /permission_denied/);
    assert.match(textOf(await call(client, "file_read", { path: "/work" })), /is_a_directory/);
    assert.match(textOf(await call(client, "file_read", { path: "/none" })), /not_found/);
    assert.match(textOf(await call(client, "file_delete", { path: "/work" })), /directory_not_empty/);
    await does("file_delete", { path: "/work", recursive: true });
    assert.match(textOf(await call(client, "file_list", { path: "/work" })), /not_found/);
  }));

test("a cancelled call ends its command, and so does a client that goes away; progress is told", () =>
  withDaemon({ config }, async (daemon) => {
    await startDev(daemon);
    const secret = await tokenFor(daemon, "all", { vms: null });
    for (const options of Object.values(eras)) {
      const client = await connect(daemon, secret, "/mcp", options);
      const stop = new AbortController();
      const told: string[] = [];
      const long = client.callTool(
        { name: "run_command", arguments: { vm: "dev", command: "echo begun; sleep 999 & sleep 998; wait" } },
        { signal: stop.signal, onprogress: ({ message }) => told.push(message ?? "") },
      );
      long.catch(() => {});
      await eventually(
        () => told,
        (lines) => lines.includes("begun"),
      );
      assert.equal((await running(daemon)).length, 1);
      stop.abort();
      await assert.rejects(long);
      await eventually(
        () => running(daemon),
        (left) => left.length === 0,
      );
      const { stdout } = await daemon.client.call("vm.exec", {
        params: { vm: "dev" },
        body: { argv: ["sh", "-c", "pgrep -c sleep || true"] },
      });
      assert.equal(stdout, "0\n", "what the command had started has ended, too");
      await client.close();
    }
    const waiting = await connect(daemon, secret);
    const heard: string[] = [];
    const silent = waiting.callTool(
      { name: "run_command", arguments: { vm: "dev", command: "until [ -e /tmp/heard ]; do sleep 0.1; done" } },
      { onprogress: ({ message }) => heard.push(message ?? "") },
    );
    await eventually(
      () => heard,
      (lines) => lines.some((line) => /^\d+ s so far$/.test(line)),
    );
    await daemon.client.call("vm.exec", { params: { vm: "dev" }, body: { argv: ["touch", "/tmp/heard"] } });
    dataOf((await silent) as CallToolResult);
    await waiting.close();

    // a session in which a call is under way does not give way to others
    const busy = await connect(daemon, secret, "/mcp", eras["2025-11-25"]);
    const stop = new AbortController();
    const params = { name: "run_command", arguments: { vm: "dev", command: "sleep 996" } };
    const long = busy.callTool(params, { signal: stop.signal });
    long.catch(() => {});
    await eventually(
      () => running(daemon),
      (left) => left.length === 1,
    );
    for (let count = 0; count < 66; count += 1) await connect(daemon, secret, "/mcp", eras["2025-11-25"]);
    assert.equal((await running(daemon)).length, 1);
    stop.abort();
    await eventually(
      () => running(daemon),
      (left) => left.length === 0,
    );
    await busy.close();

    const client = await connect(daemon, secret, "/mcp", eras["2026-07-28"]);
    client.callTool({ name: "run_command", arguments: { vm: "dev", command: "sleep 997" } }).catch(() => {});
    await eventually(
      () => running(daemon),
      (left) => left.length === 1,
    );
    await client.close();
    await eventually(
      () => running(daemon),
      (left) => left.length === 0,
    );
  }));

test("a client of an older revision whose connection broke gets its call's result when it comes back", () =>
  withDaemon({ config }, async (daemon) => {
    await startDev(daemon);
    const url = await urlOf(daemon, "/mcp");
    const shared = {
      authorization: `Bearer ${await tokenFor(daemon, "all", { vms: null })}`,
      accept: "application/json, text/event-stream",
    };
    const post = async (message: object, more: Record<string, string>, signal?: AbortSignal): Promise<Response> =>
      await fetch(url, {
        method: "POST",
        headers: { ...shared, "content-type": "application/json", ...more },
        body: JSON.stringify({ jsonrpc: "2.0", ...message }),
        ...(signal === undefined ? {} : { signal }),
      });
    const protocolVersion = "2025-11-25";
    const clientInfo = { name: "test", version: "1" };
    const begun = await post(
      { id: 1, method: "initialize", params: { protocolVersion, capabilities: {}, clientInfo } },
      {},
    );
    const session = {
      "mcp-session-id": begun.headers.get("mcp-session-id") ?? "",
      "mcp-protocol-version": protocolVersion,
    };
    await begun.body?.cancel();
    await (await post({ method: "notifications/initialized" }, session)).body?.cancel();

    const broken = new AbortController();
    const args = { vm: "dev", command: "until [ -e /tmp/go ]; do sleep 0.1; done; echo it is done" };
    const stream = await post(
      { id: 2, method: "tools/call", params: { name: "run_command", arguments: args } },
      session,
      broken.signal,
    );
    const first = await stream.body?.getReader().read();
    const [, id = ""] = /^id: (\S+)$/m.exec(Buffer.from(first?.value ?? []).toString()) ?? [];
    assert.notEqual(id, "");
    broken.abort();
    await daemon.client.call("vm.exec", { params: { vm: "dev" }, body: { argv: ["touch", "/tmp/go"] } });
    await eventually(
      () => running(daemon),
      (left) => left.length === 0,
    );
    const again = await fetch(url, { headers: { ...shared, ...session, "last-event-id": id } });
    let text = "";
    for await (const bytes of again.body ?? []) {
      text += Buffer.from(bytes).toString();
      if (text.includes("it is done")) break;
    }
    assert.match(text, /"id":2\b/);
    const unknown = await fetch(url, { headers: { ...shared, ...session, "last-event-id": "999" } });
    assert.equal(unknown.status, 400);
    await unknown.body?.cancel();
  }));

test("a token opens what it names, and to it nothing else exists", () =>
  withDaemon({ config }, async (daemon) => {
    await startDev(daemon);
    await daemon.client.call("vm.create", { body: { name: "other", image: "base", memoryMiB: 128 } });
    const one = await connect(daemon, await tokenFor(daemon, "one", { vms: ["dev"] }));
    const seen = dataOf(await call(one, "vm_list")) as { vms: { name: string }[] };
    assert.deepEqual(
      seen.vms.map(({ name }) => name),
      ["dev"],
    );
    for (const [name, args] of [
      ["vm_inspect", {}],
      ["run_command", { command: "true" }],
      ["vm_stop", {}],
      ["vm_delete", {}],
      ["vm_logs", {}],
    ] as const) {
      const refused = await call(one, name, { vm: "other", ...args });
      assert.match(textOf(refused), /there is no VM "other" \(not_found\)/, name);
    }
    assert.match(
      textOf(await call(one, "vm_create", { name: "mine", image: "base" })),
      /0 VMs of its own .*\(forbidden\)/,
    );

    const manager = await connect(daemon, await tokenFor(daemon, "manager", { maxVms: 1, maxMemoryMiB: 200 }));
    const create = (name: string, memoryMiB: number): Promise<CallToolResult> =>
      call(manager, "vm_create", { name, image: "base", memoryMiB, start: false });
    assert.match(textOf(await create("mine", 256)), /200 MiB/);
    assert.equal(dataOf(await create("mine", 128))["state"], "created");
    assert.match(textOf(await create("more", 128)), /has 1 \(forbidden\)/);
    assert.deepEqual(
      (dataOf(await call(manager, "vm_list")) as typeof seen).vms.map(({ name }) => name),
      ["mine"],
    );
    dataOf(await call(manager, "vm_delete", { vm: "mine" }));
    const both = await Promise.all(["again", "and-again"].map((name) => create(name, 128)));
    assert.equal(both.filter(({ isError }) => isError === true).length, 1, "one place, two at once");

    const looking = await connect(
      daemon,
      await tokenFor(daemon, "reader", { vms: null, tools: ["vm_list", "vm_logs"] }),
    );
    assert.deepEqual((await looking.listTools()).tools.map(({ name }) => name).toSorted(), ["vm_list", "vm_logs"]);
    await assert.rejects(call(looking, "run_command", { vm: "dev", command: "true" }), /run_command/);

    // an endpoint for one VM: no tool names one, and no other VM is there
    const secret = await tokenFor(daemon, "in-dev", { vms: ["dev"] });
    const inDev = await connect(daemon, secret, "/v1/vms/dev/mcp");
    const { tools } = await inDev.listTools();
    assert.ok(tools.every(({ inputSchema }) => !Object.keys(inputSchema.properties ?? {}).includes("vm")));
    assert.ok(!tools.some(({ name }) => ["vm_list", "vm_create", "vm_delete", "image_list"].includes(name)));
    assert.equal(dataOf(await call(inDev, "run_command", { command: "hostname" }))["stdout"], "dev\n");
    await assert.rejects(connect(daemon, secret, "/v1/vms/other/mcp"), /404|not_found|no VM/);

    // what was revoked opens nothing, in a session that was begun before it either
    await daemon.client.call("token.revoke", { params: { token: "one" } });
    await assert.rejects(call(one, "vm_list"), /401|unauthorized/i);
    await assert.rejects(connect(daemon, "wft_nonsense"), /401|unauthorized/i);
  }));

test("a token with a scope opens no API; a session is nobody else's", () =>
  withDaemon({ config, withoutKernel: true }, async (daemon) => {
    const secret = await tokenFor(daemon, "all", { vms: null });
    const other = await tokenFor(daemon, "other", { vms: null });
    const post = async (path: string, token: string, body: unknown, headers = {}): Promise<Response> =>
      await fetch(await urlOf(daemon, path), {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          ...headers,
        },
      });
    const api = await fetch(await urlOf(daemon, "/v1/vms"), { headers: { authorization: `Bearer ${secret}` } });
    assert.deepEqual([api.status, ((await api.json()) as { code: string }).code], [403, "forbidden"]);

    const hello = {
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x", version: "1" } },
    };
    const begun = await post("/mcp", secret, hello);
    const session = begun.headers.get("mcp-session-id") ?? "";
    assert.match(session, /^[0-9a-f-]{36}$/);
    await begun.text();
    const list = { jsonrpc: "2.0", id: 2, method: "tools/list" };
    const mine = await post("/mcp", secret, list, { "mcp-session-id": session });
    assert.equal(mine.status, 200);
    assert.match(await mine.text(), /run_command/);
    assert.equal((await post("/mcp", other, list, { "mcp-session-id": session })).status, 404);
    assert.equal((await post("/mcp", secret, list, { "mcp-session-id": "forged" })).status, 404);
    const gone = await fetch(await urlOf(daemon, "/mcp"), {
      method: "DELETE",
      headers: { authorization: `Bearer ${secret}`, "mcp-session-id": session },
    });
    assert.equal(gone.status, 200);
    assert.equal((await post("/mcp", secret, list, { "mcp-session-id": session })).status, 404);

    for (const body of [
      "",
      "{",
      "[]",
      "null",
      "7",
      '"x"',
      '{"jsonrpc":"1.0"}',
      '[{"jsonrpc":"2.0","id":1,"method":"x"}]',
      `{"a":${"[".repeat(100_000)}`,
    ]) {
      const answer = await post("/mcp", secret, body);
      assert.ok(answer.status >= 400 && answer.status < 500, `${body.slice(0, 40)}: ${answer.status}`);
      await answer.text();
    }
    assert.equal((await daemon.client.call("system.health")).status, "ok");
  }));

/** Connects as a client would that read this part of its configuration. */
async function connectAs(
  server: { command?: string; args?: string[]; url?: string; headers?: Record<string, string> },
  daemon: TestDaemon,
  secret: string,
  options: ClientOptions = {},
): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, options);
  if (server.url === undefined) {
    assert.equal(server.command, "nexusctl");
    const args = [join(checkout, "packages/nexusctl/src/main.ts"), ...(server.args ?? [])];
    await client.connect(new StdioClientTransport({ command: node, args, env: { ...daemon.env } }));
    return client;
  }
  const headers = Object.fromEntries(
    Object.entries(server.headers ?? {}).map(([name, value]) => [name, value.replace("wft_…", secret)]),
  );
  const url = await urlOf(daemon, new URL(server.url).pathname);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
}

test("the guide's configurations work, and nexusctl mcp serves both revisions", () =>
  withDaemon({ config }, async (daemon) => {
    await startDev(daemon);
    const secret = await tokenFor(daemon, "claude", { vms: ["dev"] });
    const guide = await fs.readFile(join(checkout, "codex/guides/mcp.md"), "utf8");
    const blocks = [...guide.matchAll(/```json\n(.*?)```/gs)].map(
      ([, json = ""]) => JSON.parse(json) as Record<string, { workfort: Parameters<typeof connectAs>[0] }>,
    );
    assert.equal(blocks.length, 3);
    for (const block of blocks) {
      const [server] = Object.values(block);
      const client = await connectAs(server?.workfort ?? {}, daemon, secret);
      const { tools } = await client.listTools();
      const namesVm = tools.some(({ inputSchema }) => "vm" in (inputSchema.properties ?? {}));
      const ran = await call(client, "run_command", { command: "hostname", ...(namesVm ? { vm: "dev" } : {}) });
      assert.equal(dataOf(ran)["stdout"], "dev\n");
      await client.close();
    }
    for (const [era, options] of Object.entries(eras)) {
      const client = await connectAs({ command: "nexusctl", args: ["mcp", "--vm", "dev"] }, daemon, secret, options);
      assert.equal(client.getNegotiatedProtocolVersion(), era);
      assert.equal(dataOf(await call(client, "run_command", { command: "hostname" }))["stdout"], "dev\n");
      await client.close();
    }
  }));
