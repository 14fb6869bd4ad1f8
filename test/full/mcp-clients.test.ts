import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runTool } from "@workfort/host/process/run.ts";
import { checkout, node, withDaemon, type TestDaemon } from "@workfort/testing";

/** MCP against programs that nobody here wrote: the official conformance suite, and the Inspector. */
const inspector = "@modelcontextprotocol/inspector@2.12.0";

/**
 * The scenarios that a server of tools can be asked, by the suite's last release and by the one to come, which has those
 * of revision 2026-07-28. The others call tools, prompts and resources of the suite's own sample server by their names,
 * or ask for what is not offered: codex/guides/mcp.md lists them.
 */
const scenarios = {
  "0.1.16": ["server-initialize", "ping", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection"],
  "0.2.0-alpha.12": [
    "server-initialize",
    "server-session-lifecycle",
    "server-stateless",
    "ping",
    "tools-list",
    "server-sse-polling",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
  ],
};

/** checks of these scenarios that need what the suite's sample server has: tools of certain names, prompts, resources */
const notForUs = [
  "sep-2575-server-rejects-undeclared-capability",
  "sep-2575-missing-capability-http-400",
  "sep-2575-http-server-no-independent-requests-on-stream",
  "sep-2575-server-no-log-without-loglevel",
  "server-sse-disconnect-resume",
  "sep-2549-prompts-list-caching-hints",
  "sep-2549-resources-list-caching-hints",
  "sep-2549-resources-templates-list-caching-hints",
];

interface Check {
  id: string;
  status: string;
  errorMessage?: string;
}

async function install(context: TestContext, spec: string): Promise<string> {
  const directory = await fs.mkdtemp("/tmp/wfmcp");
  context.after(() => fs.rm(directory, { recursive: true, force: true }));
  const npm = ["npm", "install", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts", spec] as const;
  await runTool([...npm], { timeoutMs: 300_000 });
  return join(directory, "node_modules");
}

async function startDev(daemon: TestDaemon): Promise<{ tcp: string; secret: string }> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params: { vm: "dev" }, body: {} });
  const { secret } = await daemon.client.call("token.create", { body: { name: "all", vms: null, maxVms: 1 } });
  return { tcp: (await daemon.client.call("system.status")).tcp ?? "", secret };
}

/** Stands where a client stands that knows the token: the suite cannot be given one. */
async function makeClientsDoor(tcp: string, secret: string): Promise<Server> {
  const [host, port] = tcp.split(":");
  const server = createServer((incoming, answer) => {
    const own = `localhost:${(server.address() as AddressInfo).port}`;
    const toDaemon = (value: string | undefined): string | undefined => value?.replace(own, tcp);
    const headers = { ...incoming.headers, authorization: `Bearer ${secret}` };
    for (const name of ["host", "origin"] as const)
      if (headers[name] !== undefined) headers[name] = toDaemon(headers[name]) as string;
    const { url: path, method } = incoming;
    const outgoing = request({ host, port, path, method, headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const config = "api:\n  listen: 127.0.0.1:0\nvmm:\n  default: qemu\n";

for (const [version, names] of Object.entries(scenarios))
  test(`the scenarios of the conformance suite ${version} that apply`, async (context) => {
    const modules = await install(context, `@modelcontextprotocol/conformance@${version}`);
    await withDaemon({ config }, async (daemon) => {
      const { tcp, secret } = await startDev(daemon);
      const door = await makeClientsDoor(tcp, secret);
      try {
        const url = `http://localhost:${(door.address() as AddressInfo).port}/mcp`;
        const program = join(modules, "@modelcontextprotocol/conformance/dist/index.js");
        for (const scenario of names) {
          const results = join(daemon.directory, "results", scenario);
          const words = ["--url", url, "--scenario", scenario, "--output-dir", results];
          await runTool([node, program, "server", ...words], { timeoutMs: 120_000, okCodes: [0, 1] });
          const checks = await checksIn(results);
          assert.ok(
            checks.some(({ status }) => status === "SUCCESS" || status === "INFO"),
            scenario,
          );
          const unmet = checks.filter(({ status }) => status === "FAILURE" || status === "WARNING");
          assert.deepEqual(
            unmet.filter(({ id }) => !notForUs.includes(id)),
            [],
          );
        }
      } finally {
        door.close();
        door.closeAllConnections();
      }
    });
  });

async function checksIn(directory: string): Promise<Check[]> {
  const [run = ""] = await fs.readdir(directory);
  return JSON.parse(await fs.readFile(join(directory, run, "checks.json"), "utf8")) as Check[];
}

test("the Inspector lists and calls the tools, over HTTP and stdio", async (context) => {
  const modules = await install(context, inspector);
  await withDaemon({ config }, async (daemon) => {
    const { tcp, secret } = await startDev(daemon);
    const program = join(modules, ".bin/mcp-inspector");
    const main = join(checkout, "packages/nexusctl/src/main.ts");
    const doors = {
      http: [`http://${tcp}/mcp`, "--transport", "http", "--header", `Authorization: Bearer ${secret}`],
      // it hands a server nothing of its own environment
      stdio: ["env", ...Object.entries(daemon.env).map(([key, value]) => `${key}=${value}`), node, main, "mcp"],
    };
    for (const [door, words] of Object.entries(doors)) {
      const inspect = async (...more: string[]): Promise<Record<string, unknown>> => {
        const argv = [node, program, "--cli", ...words, ...more] as const;
        const { stdout } = await runTool([...argv], { timeoutMs: 120_000, env: daemon.env });
        return JSON.parse(stdout) as Record<string, unknown>;
      };
      const call = async (name: string, given: Record<string, string> = {}): Promise<Record<string, unknown>> => {
        const args = Object.entries(given).flatMap(([key, value]) => ["--tool-arg", `${key}=${value}`]);
        const result = await inspect("--method", "tools/call", "--tool-name", name, ...args);
        assert.notEqual(result["isError"], true, JSON.stringify(result));
        return result["structuredContent"] as Record<string, unknown>;
      };
      const { tools } = (await inspect("--method", "tools/list")) as { tools: { name: string }[] };
      assert.ok(tools.length >= 14, door);
      const ran = await call("run_command", { vm: "dev", command: "hostname" });
      assert.deepEqual([ran["exitCode"], ran["stdout"]], [0, "dev\n"]);
      const { commandId } = (await call("run_command_async", { vm: "dev", command: "echo up" })) as {
        commandId: string;
      };
      assert.equal((await call("command_wait", { vm: "dev", commandId }))["exitCode"], 0);
      assert.equal((await call("command_output", { vm: "dev", commandId }))["stdout"], "up\n");
      await call("command_list", { vm: "dev" });
      await call("command_kill", { vm: "dev", commandId });
      await call("vm_list");
      await call("image_list");
      const note = { vm: "dev", path: "/srv/notes/one.txt" };
      await call("file_write", { ...note, content: "first line" });
      await call("file_edit", { ...note, oldText: "first", newText: "only" });
      assert.equal((await call("file_read", note))["content"], "only line");
      assert.match(JSON.stringify(await call("file_list", { vm: "dev", path: "/srv/notes" })), /one\.txt/);
      assert.match(JSON.stringify(await call("file_search", { ...note, path: "/srv", pattern: "only" })), /only line/);
      await call("file_delete", note);
      assert.equal((await call("vm_inspect", { vm: "dev" }))["name"], "dev");
      assert.match(String((await call("vm_logs", { vm: "dev" }))["text"]), /guest-agent/);
      assert.equal((await call("vm_create", { name: "other", image: "base", start: "false" }))["state"], "created");
      assert.equal((await call("vm_start", { vm: "other" }))["agent"], "ready");
      assert.equal((await call("vm_stop", { vm: "other" }))["state"], "stopped");
      assert.equal((await call("vm_delete", { vm: "other" }))["deleted"], "other");
    }
  });
});
