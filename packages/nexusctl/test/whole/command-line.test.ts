import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { WorkfortError } from "@workfort/contract/errors";
import { environment, FakeDaemon, sendJson } from "../helpers/fake-daemon.ts";
import { launcher, nexusctl } from "../helpers/run.ts";

/** nexusctl as a child process, against a daemon whose answers are the test's. */
const nobody = environment("/nonexistent");

function problem(
  ...given: ConstructorParameters<typeof WorkfortError>
): (response: Parameters<typeof sendJson>[0]) => void {
  const error = new WorkfortError(...given);
  return (response) => sendJson(response, error.toProblem(), error.status);
}

test("without a daemon: what happened, the likely cause, what to type; never a trace", async (context) => {
  const directory = temporary(context);
  const env = environment(directory);
  for (const words of [["status"], ["vm", "list"], ["vm", "exec", "dev", "true"], ["vm", "start", "a", "b"]]) {
    const { code, stdout, stderr } = await nexusctl(env, words);
    assert.deepEqual([code, stdout], [3, ""]);
    assert.match(
      stderr,
      /^error: cannot reach nexusd at .*\/run\/nexus\/nexus\.sock\n {2}the socket is not there: the daemon does not run\n {2}try: .*npm.* run up\n$/,
    );
  }
  const { stderr } = await nexusctl(env, ["status", "--json"]);
  assert.equal((JSON.parse(stderr) as { error: { code: string } }).error.code, "daemon_unreachable");
  const version = await nexusctl(env, ["version", "--json"]);
  assert.equal(version.code, 0);
  assert.equal((JSON.parse(version.stdout) as { nexusd: unknown }).nexusd, null);
});

test("a socket that nobody listens on says that the daemon died", async (context) => {
  const directory = temporary(context);
  mkdirSync(join(directory, "run/nexus"), { recursive: true });
  const socket = join(directory, "run/nexus/nexus.sock");
  // the file of a listener that was killed: a second process listens and is killed
  const child = spawn(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(socket)}, () => console.log("x"))`,
  ]);
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  const { code, stderr } = await nexusctl(environment(directory), ["status"]);
  assert.equal(code, 3);
  assert.match(stderr, /the socket is there, but nobody listens on it: the daemon died/);
});

test("what listens there and is no daemon is named as such", async (context) => {
  const directory = temporary(context);
  mkdirSync(join(directory, "run/nexus"), { recursive: true });
  const server = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
  await new Promise<void>((resolve) => server.listen(join(directory, "run/nexus/nexus.sock"), resolve));
  const { code, stderr } = await nexusctl(environment(directory), ["status"]);
  server.close();
  assert.equal(code, 3);
  assert.match(stderr, /^error: cannot reach nexusd/);
  assert.doesNotMatch(stderr, /\n {4}at /);
});

test("what the daemon refuses is one sentence, a hint and its exit code; with --json its problem unchanged", async () => {
  const error = ["wrong_state", 'VM "dev" is already running', { hint: "nexusctl vm stop dev" }] as const;
  await using daemon = await FakeDaemon.start((_, response) => problem(...error)(response));
  const plain = await nexusctl(daemon.env, ["vm", "start", "dev"]);
  assert.deepEqual(
    [plain.code, plain.stdout, plain.stderr],
    [5, "", 'error: cannot start VM "dev": it is already running\n  try: nexusctl vm stop dev\n'],
  );
  const json = await nexusctl(daemon.env, ["vm", "start", "dev", "--json"]);
  assert.deepEqual([json.code, JSON.parse(json.stderr)], [5, { error: new WorkfortError(...error).toProblem() }]);
});

test("with several names it goes on after a failure and ends with the worst code", async () => {
  await using daemon = await FakeDaemon.start((request, response) => {
    if (request.url?.includes("/b/")) problem("not_found", 'there is no VM "b"')(response);
    else if (request.url?.includes("/c/")) problem("vmm_failed", "QEMU ended")(response);
    else sendJson(response, { name: "a", state: "stopped", stateReason: "asked for" });
  });
  const { code, stdout, stderr } = await nexusctl(daemon.env, ["vm", "stop", "b", "a", "c", "a"]);
  assert.equal(code, 6);
  assert.equal(stdout, "a stopped: asked for\n");
  assert.equal(stderr, 'error: cannot stop VM "b": there is no such VM\nerror: cannot stop VM "c": QEMU ended\n');
});

test("lists: a table, names only, or the operation's result unchanged; nothing on stdout where there is nothing", async () => {
  const result = {
    images: [
      {
        id: "img_abcdefgh2345",
        name: "base",
        sizeBytes: 1024 ** 3,
        usedBytes: 1024 ** 2,
        source: "/x",
        workspaceCount: 2,
        createdAt: Date.now(),
        new: "field",
      },
    ],
  };
  await using daemon = await FakeDaemon.start((request, response) =>
    sendJson(response, request.url === "/v1/images" ? result : { vms: [] }),
  );
  assert.match(
    (await nexusctl(daemon.env, ["image", "ls"])).stdout,
    /^NAME +SIZE +USED[^]*\nbase +1 GiB +1 MiB +2 +\d+s +\/x +img_abcdefgh2345\n$/,
  );
  assert.equal((await nexusctl(daemon.env, ["image", "list", "-q"])).stdout, "base\n");
  assert.deepEqual(JSON.parse((await nexusctl(daemon.env, ["image", "list", "--json"])).stdout), result);
  const { stdout, stderr } = await nexusctl(daemon.env, ["vm", "list"]);
  assert.deepEqual([stdout, stderr], ["", "there are no VMs\n"]);
});

test("deleting by force kills first, and a VM that does not run is no obstacle", async () => {
  await using daemon = await FakeDaemon.start((request, response) => {
    if (request.method === "POST") problem("wrong_state", "it does not run")(response);
    else response.writeHead(204).end();
  });
  const { code, stdout } = await nexusctl(daemon.env, ["vm", "delete", "dev", "--force", "--yes", "--keep-workspace"]);
  assert.deepEqual([code, stdout], [0, "dev deleted\n"]);
  assert.deepEqual(daemon.requests, ["POST /v1/vms/dev/kill", "DELETE /v1/vms/dev?keepWorkspace=true"]);
});

test("work that takes long tells its steps on stderr, a line each", async () => {
  await using daemon = await FakeDaemon.start((_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write('{"progress":{"step":"boot the kernel"}}\n');
    const more = setTimeout(() => {
      response.write('{"progress":{"step":"boot the kernel"}}\n{"progress":{"step":"wait for the agent"}}\n');
      response.end('{"result":{"name":"dev","agent":"ready","warnings":[]}}\n');
    }, 1100); // longer than nexusctl is silent
    response.once("close", () => clearTimeout(more));
  });
  const { code, stdout, stderr } = await nexusctl(daemon.env, ["vm", "start", "dev"]);
  assert.equal(code, 0);
  assert.match(stdout, /^dev runs, its agent answered after /);
  assert.equal(stderr, "starting dev: boot the kernel\nstarting dev: wait for the agent\n");
});

test("a reader that leaves ends it without a word", async () => {
  const line = `${"x".repeat(200)}\n`;
  await using daemon = await FakeDaemon.start((request, response) => {
    response.writeHead(200);
    if (!request.url?.includes("follow=true")) return void response.end(line);
    const more = (): void => {
      while (!response.destroyed) if (!response.write(line.repeat(100))) return void response.once("drain", more);
    };
    more();
  });
  const child = spawn(launcher, ["vm", "logs", "dev", "--follow", "--tail", "all"], { env: daemon.env });
  const said = text(child.stderr);
  const exit = once(child, "exit");
  await once(child.stdout, "data");
  child.stdout.destroy();
  assert.deepEqual(await exit, [141, null]);
  assert.equal(await said, "");
});

test("a full disk is said to be full", async () => {
  const child = spawn("/bin/sh", ["-c", '"$0" --help >/dev/full', launcher], { env: nobody });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.deepEqual([code, stderr], [1, "error: cannot write the output: ENOSPC: no space left on device, write\n"]);
});

test("a defect is one line, and the trace is there for the asking", async () => {
  await using daemon = await FakeDaemon.start((_, response) => sendJson(response, { vms: 5 }));
  const { code, stderr } = await nexusctl(daemon.env, ["vm", "list"]);
  assert.equal(code, 1);
  assert.match(stderr, /^error: it failed\n {2}nexusctl has a defect: .*\n {2}try: NEXUS_DEBUG=1.*\n$/);
  assert.match((await nexusctl({ ...daemon.env, NEXUS_DEBUG: "1" }, ["vm", "list"])).stderr, /\n {4}at /);
});

test("a wrong NEXUS_INSTANCE is said to be wrong", async () => {
  const { code, stderr } = await nexusctl({ ...nobody, NEXUS_INSTANCE: "A B" }, ["status"]);
  assert.equal(code, 2);
  assert.match(stderr, /NEXUS_INSTANCE is "A B"/);
});

test("the launcher works through links and from anywhere", async (context) => {
  const directory = temporary(context);
  symlinkSync(launcher, join(directory, "first"));
  mkdirSync(join(directory, "sub"));
  symlinkSync("../first", join(directory, "sub/wf"));
  for (const program of [join(directory, "sub/wf"), launcher.replace(/nexusctl$/, "nxc")]) {
    const child = spawn(program, ["version"], { env: nobody, cwd: directory, stdio: ["ignore", "pipe", "inherit"] });
    const [[code]] = (await Promise.all([once(child, "exit"), once(child.stdout, "data")])) as [[number], unknown];
    assert.equal(code, 0, program);
  }
});

test("a checkout without its Node says what brings it, and takes a newer one on PATH", async (context) => {
  const directory = temporary(context);
  cpSync(join(launcher, ".."), join(directory, "bin"), { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(directory, "packages/nexusctl/src"), { recursive: true });
  mkdirSync(join(directory, ".workfort"));
  writeFileSync(join(directory, ".workfort/instance"), "second\n");
  writeFileSync(
    join(directory, "packages/nexusctl/src/main.ts"),
    "console.log(process.env.NEXUS_INSTANCE as string);\n",
  );
  const tools = join(directory, "tools");
  mkdirSync(tools);
  const run = async (env: Record<string, string>): Promise<[number, string, string]> => {
    const child = spawn(join(directory, "bin/nxc"), [], {
      env: { HOME: directory, PATH: `${tools}:/usr/bin:/bin`, ...env },
      cwd: "/",
    });
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    return [code as number, stdout, stderr];
  };
  // an old Node is found first and taken for what it is
  writeFileSync(join(tools, "node"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const [code, , stderr] = await run({});
  assert.equal(code, 1);
  assert.match(stderr, /^nxc: no Node that fits: .*\n {2}try: npm ci {3}\(in \/.*\)\n$/);
  rmSync(join(tools, "node"));
  symlinkSync(process.execPath, join(tools, "node"));
  assert.deepEqual(await run({}), [0, "second\n", ""]);
  assert.deepEqual(await run({ NEXUS_INSTANCE: "first" }), [0, "first\n", ""]);
});

test("doctor and storage init end as the nexusd they run", async () => {
  const { code, stdout } = await nexusctl(nobody, ["storage", "init", "--size", "huge"]);
  assert.deepEqual([code, stdout], [2, ""]);
});

test("a doctor whose reader has had enough ends without a word", (context) => {
  const nexusd = fileURLToPath(new URL("../../../nexusd/src/main.ts", import.meta.url));
  const { stderr } = spawnSync("sh", ["-c", `"$0" "$1" doctor | true`, process.execPath, nexusd], {
    env: { ...process.env, ...environment(temporary(context)) },
    encoding: "utf8",
  });
  assert.equal(stderr, "");
});

function temporary(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "nexusctl-"));
  writeFileSync(join(directory, "x"), "");
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
