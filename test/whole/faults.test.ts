import assert from "node:assert/strict";
import { promises as fs, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { DaemonUnreachable } from "@workfort/client";
import { commonErrors, operations, type Operation, type OperationName } from "@workfort/contract";
import { deleteSubvolume } from "@workfort/host/storage/btrfs/ioctls.ts";
import { assertTidy, eventually, makeDaemon, node, refusal, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const lyingVmm = fileURLToPath(new URL("fixtures/lying-vmm.ts", import.meta.url));

const create = async (daemon: TestDaemon): Promise<void> => {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
};
const start = (daemon: TestDaemon, body: { timeoutMs?: number; waitForAgent?: boolean } = {}): Promise<unknown> =>
  daemon.client.call("vm.start", { params, body });
const exec = (daemon: TestDaemon, timeoutMs = 20_000): Promise<unknown> =>
  daemon.client.call("vm.exec", { params, body: { argv: ["true"], timeoutMs } });
const stateOf = async (daemon: TestDaemon): Promise<string> => (await daemon.client.call("vm.get", { params })).state;

function residentMiB(daemon: TestDaemon): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

async function assertNothingLives(daemon: TestDaemon): Promise<void> {
  await eventually(
    () => daemon.leftovers(),
    (left) => left.length === 0,
  );
  await assertTidy(daemon);
}

/** A daemon whose QEMU is the double; `behave` chooses its manner from then on. */
async function withLyingVmm(
  use: (daemon: TestDaemon, behave: (manner: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const daemon = await makeDaemon();
  try {
    const [program, manner] = [join(daemon.directory, "qemu"), join(daemon.directory, "manner")];
    await fs.writeFile(program, `#!/bin/sh\nexec ${node} ${lyingVmm} ${manner} "$@"\n`, { mode: 0o755 });
    await fs.writeFile(manner, "silent");
    await daemon.configure(`api:\n  listen: off\nvmm:\n  qemu: ${program}\n  confine: false\n`);
    await daemon.start();
    await create(daemon);
    await use(daemon, (name) => fs.writeFile(manner, name));
  } finally {
    await daemon.dispose();
  }
}

test("a QEMU that is not there or cannot be executed is named, and the VM stays as it was", async () => {
  const daemon = await makeDaemon();
  try {
    const program = join(daemon.directory, "qemu");
    await daemon.configure(`api:\n  listen: off\nvmm:\n  qemu: ${program}\n  confine: false\n`);
    await daemon.start();
    await create(daemon);
    const missing = await refusal(start(daemon));
    assert.equal(missing.code, "vmm_unavailable");
    assert.match(missing.message, new RegExp(`QEMU is not installed \\(looked for ${program}\\)`));
    assert.equal(missing.hint, "nexusctl doctor");
    await fs.writeFile(program, "#!/bin/sh\nexit 1\n", { mode: 0o644 });
    assert.equal((await refusal(start(daemon))).code, "vmm_unavailable");
    await fs.chmod(program, 0o755);
    assert.match((await refusal(start(daemon))).message, /QEMU does not run: .*exit code 1/);
    assert.equal(await stateOf(daemon), "created");
    await assertNothingLives(daemon);
  } finally {
    await daemon.dispose();
  }
});

test("a VMM that dies at once or hangs fails the start in its own words, and leaves nothing", () =>
  withLyingVmm(async (daemon, behave) => {
    await behave("dies");
    const dead = await refusal(start(daemon));
    assert.equal(dead.code, "vmm_failed");
    assert.equal(dead.message, "QEMU ended at once (code 3): qemu-system-x86_64: out of luck");
    assert.equal(await stateOf(daemon), "crashed");
    const { stateReason } = await daemon.client.call("vm.get", { params });
    assert.match(stateReason, /could not start: .*out of luck/);
    await assertNothingLives(daemon);

    await behave("hangs");
    const hung = await refusal(start(daemon));
    assert.equal(hung.code, "vmm_failed");
    assert.match(hung.message, /aborted due to timeout|has not greeted within/);
    await assertNothingLives(daemon);

    await behave("hangs");
    const waiting = start(daemon);
    waiting.catch(() => {});
    await eventually(
      () => daemon.processes(),
      (processes) => processes.some((line) => line.includes("lying-vmm")),
    );
    await daemon.client.call("vm.kill", { params });
    assert.match((await refusal(waiting)).message, /was killed while it started/);
    assert.equal(await stateOf(daemon), "stopped");
    await assertNothingLives(daemon);
  }));

test("a guest without an agent runs, is told to be silent, and stops by signal", () =>
  withLyingVmm(async (daemon) => {
    const late = await refusal(start(daemon, { timeoutMs: 1000 }));
    assert.equal(late.code, "timeout");
    assert.match(late.message, /VM "dev" runs, but its agent has not answered within 1 s/);
    const vm = await daemon.client.call("vm.get", { params });
    assert.deepEqual([vm.state, vm.agent], ["running", "connecting"]);
    assert.equal((await refusal(exec(daemon))).code, "agent_unreachable");
    await daemon.client.call("vm.stop", { params, body: { graceMs: 0 } });
    await assertNothingLives(daemon);
  }));

const unusable: [manner: string, says: RegExp][] = [
  ["another protocol", /the agent speaks guest protocol 2, this nexusd 1/],
  ["greets with nonsense", /greeting is not what the protocol asks for/],
  ["greets without end", /greeting is too long/],
];

test("an agent that cannot be understood is never ready, and the reason is told", () =>
  withLyingVmm(async (daemon, behave) => {
    for (const [manner, says] of unusable) {
      await behave(manner);
      const late = await refusal(start(daemon, { timeoutMs: 3000 }));
      assert.match(late.message, says, manner);
      assert.notEqual((await daemon.client.call("vm.get", { params })).agent, "ready");
      await daemon.client.call("vm.kill", { params });
      await assertNothingLives(daemon);
    }
  }));

test("an agent that breaks off, talks nonsense or without end fails the request, not the daemon", () =>
  withLyingVmm(async (daemon, behave) => {
    for (const manner of ["hangs up", "frames of nonsense", "a frame too large", "talks without end", "says nothing"]) {
      await behave(manner);
      await start(daemon);
      const { code } = await refusal(exec(daemon));
      assert.ok(["agent_failed", "agent_unreachable"].includes(code), `${manner}: ${code}`);
      assert.equal((await daemon.client.call("system.health")).status, "ok");
      await daemon.client.call("vm.kill", { params });
      await assertNothingLives(daemon);
    }
  }));

test("an agent in another's place may say what it likes: calls fail in known words, and another VM never knows", () =>
  withLyingVmm(async (daemon, behave) => {
    const { client } = daemon;
    await client.call("vm.create", { body: { name: "other", image: "base", memoryMiB: 256 } });
    await behave("honest");
    await client.call("vm.start", { params: { vm: "other" }, body: {} });
    const { agentSince } = await client.call("vm.get", { params: { vm: "other" } });
    await behave("lies");
    await start(daemon);
    const id = "p";
    const at = { path: "/a" };
    const one = { ...params, process: id };
    const shown = { ...params, terminal: id };
    const drain = async ({ body }: { body: AsyncIterable<Uint8Array> }): Promise<void> => {
      for await (const bytes of body) void bytes;
    };
    const calls: [OperationName, () => Promise<unknown>][] = [
      ["vm.exec", () => client.call("vm.exec", { params, body: { argv: ["true"], stdin: "x" } })],
      ["vm.stats", () => client.call("vm.stats", { params })],
      ["process.start", () => client.call("process.start", { params, body: { argv: ["true"] } })],
      ["process.list", () => client.call("process.list", { params })],
      ["process.get", () => client.call("process.get", { params: one })],
      ["process.wait", () => client.call("process.wait", { params: one })],
      ["process.signal", () => client.call("process.signal", { params: one, body: { signal: "TERM" } })],
      ["process.delete", () => client.call("process.delete", { params: one })],
      ["process.output", async () => await drain(await client.bytes("process.output", { params: one }))],
      ["vm.terminal.create", () => client.call("vm.terminal.create", { params, body: { id } })],
      ["vm.terminal.list", () => client.call("vm.terminal.list", { params })],
      ["vm.terminal.resize", () => client.call("vm.terminal.resize", { params: shown, body: { columns: 9, rows: 9 } })],
      ["vm.terminal.delete", () => client.call("vm.terminal.delete", { params: shown })],
      ["vm.files.stat", () => client.call("vm.files.stat", { params, query: at })],
      ["vm.files.list", () => client.call("vm.files.list", { params, query: at })],
      ["vm.files.search", () => client.call("vm.files.search", { params, body: at })],
      ["vm.files.mkdir", () => client.call("vm.files.mkdir", { params, body: at })],
      ["vm.files.delete", () => client.call("vm.files.delete", { params, body: at })],
      ["vm.files.read", async () => await drain(await client.bytes("vm.files.read", { params, query: at }))],
      ["vm.files.watch", async () => await drain(await client.bytes("vm.files.watch", { params, query: at }))],
    ];
    let understood = 0;
    // what is said is by chance, so that a few more rounds may be needed until some of it could be true
    for (let round = 0; round < 25 || (understood === 0 && round < 200); round += 1)
      await Promise.all(
        calls.map(async ([name, ask]) => {
          const row: Operation = operations[name];
          try {
            const result = await ask();
            if (result === undefined || row.result === undefined) return;
            row.result.parse(result);
            understood += 1;
          } catch (error) {
            const { code } = error as { code?: string };
            const known: readonly string[] = [...row.errors, ...commonErrors];
            // bytes pass through as they are: a stream that breaks off is what its reader sees
            const isBroken = row.answer === "bytes" && error instanceof DaemonUnreachable;
            assert.ok((known.includes(code ?? "") && code !== "internal") || isBroken, `${name}: ${String(error)}`);
          }
        }),
      );
    assert.ok(understood > 0, "some of it could have been true");
    assert.equal((await client.call("vm.get", { params: { vm: "other" } })).agentSince, agentSince);
    const { stdout } = await client.call("vm.exec", { params: { vm: "other" }, body: { argv: ["echo", "untouched"] } });
    assert.equal(stdout, "untouched\n");
    assert.doesNotMatch(daemon.log, /"level":"(error|fatal)"/);
    for (const vm of ["dev", "other"]) await client.call("vm.kill", { params: { vm } });
    await assertNothingLives(daemon);
  }));

test("an answer that comes in crumbs costs the daemon no more than its bytes", () =>
  withLyingVmm(async (daemon, behave) => {
    await behave("dribbles");
    await start(daemon);
    const before = residentMiB(daemon);
    const asked = Array.from({ length: 4 }, () => refusal(exec(daemon)));
    for (const ended of [false, false, false, true]) {
      if (ended) await daemon.client.call("vm.kill", { params });
      await Promise.all(Array.from({ length: 200 }, () => daemon.client.call("vm.list")));
      assert.ok(residentMiB(daemon) - before < 200, `${before} → ${residentMiB(daemon)} MiB`);
    }
    for (const { code } of await Promise.all(asked)) assert.match(code, /^agent_(failed|unreachable)$/);
    await assertNothingLives(daemon);
  }));

test("an agent of an older nexusd answers for what it knows, and the rest says what to do", () =>
  withLyingVmm(async (daemon, behave) => {
    await behave("is older");
    await start(daemon);
    assert.equal((await daemon.client.call("vm.get", { params })).agent, "ready");
    for (const asked of [exec(daemon), daemon.client.call("vm.stats", { params })]) {
      const { code, message, hint } = await refusal(asked);
      assert.equal(code, "agent_outdated");
      assert.match(`${message}; ${hint}`, /older than nexusd: there is no .*stop the VM and start it/);
    }
    await daemon.client.call("vm.kill", { params });
    await assertNothingLives(daemon);
  }));

test("a guest that pours bytes into its channel grows the daemon by no more than a bound", () =>
  withLyingVmm(async (daemon, behave) => {
    for (const manner of ["babbles", "floods", "headers without end"]) {
      const before = residentMiB(daemon);
      await behave(manner);
      await start(daemon, { waitForAgent: false });
      await Promise.all(Array.from({ length: 50 }, () => daemon.client.call("vm.list")));
      assert.ok(residentMiB(daemon) - before < 200, `${manner}: ${before} → ${residentMiB(daemon)} MiB`);
      await daemon.client.call("vm.kill", { params });
      await assertNothingLives(daemon);
    }
  }));

test("a guest kernel that is missing, damaged or of the wrong kind is told, and nothing is left", () =>
  withDaemon({ withoutKernel: true }, async (daemon) => {
    await create(daemon);
    const missing = await refusal(start(daemon));
    assert.equal(missing.code, "kernel_missing");
    assert.match(missing.hint ?? "", /npm run up/);
    assert.equal(await stateOf(daemon), "created");

    const kernel = join(daemon.locations.dataDirectory, "kernels", "6.1.0-broken");
    await fs.mkdir(join(kernel, "modules"), { recursive: true });
    await fs.writeFile(join(kernel, "vmlinux"), "no kernel at all\n".repeat(1000));
    const wrong = await refusal(start(daemon));
    assert.ok(["vmm_failed", "kernel_missing"].includes(wrong.code), wrong.code);
    assert.match(wrong.message, /kernel|vmlinux/i);
    await assertNothingLives(daemon);
  }));

test("a VM whose disk has gone says so in the VMM's words, and can be deleted", () =>
  withDaemon({}, async (daemon) => {
    await create(daemon);
    const workspaces = join(daemon.locations.dataDirectory, "workspaces");
    const [name = ""] = await fs.readdir(workspaces);
    await deleteSubvolume(join(workspaces, name));
    const gone = await refusal(start(daemon));
    assert.match(gone.message, /No such file or directory/);
    await daemon.client.call("vm.delete", { params });
    await assertNothingLives(daemon);
  }));

test("a daemon that cannot keep its sockets or its records to itself refuses to start, and says why", async () => {
  const daemon = await makeDaemon();
  const runtime = daemon.env["XDG_RUNTIME_DIR"] ?? "";
  const refused = async (env: Record<string, string>): Promise<string> => {
    const before = daemon.log.length;
    assert.deepEqual(await daemon.startUntilEnd(env), { code: 1, signal: null });
    return daemon.log.slice(before);
  };
  try {
    await daemon.start();
    await daemon.stop();
    const deep = join(runtime, "d".repeat(90));
    assert.match(await refused({ XDG_RUNTIME_DIR: deep }), /lies too deep for sockets.*XDG_RUNTIME_DIR/);
    const open = join(runtime, "open");
    await fs.mkdir(open);
    await fs.chmod(open, 0o777);
    assert.match(await refused({ XDG_RUNTIME_DIR: open }), /other users may write in/);
    const linked = join(runtime, "linked");
    await fs.mkdir(linked);
    await fs.symlink(runtime, join(linked, "nexus"));
    assert.match(await refused({ XDG_RUNTIME_DIR: linked }), /it is no directory/);
    assert.match(await refused({ XDG_DATA_HOME: "/dev/shm/workfort-test" }), /the store is not mounted/);
  } finally {
    await fs.rm("/dev/shm/workfort-test", { recursive: true, force: true });
    await daemon.dispose();
  }
});

test("a data directory that is not on btrfs is refused with the command that mends it", async () => {
  const daemon = await makeDaemon();
  try {
    assert.deepEqual(await daemon.startUntilEnd({ XDG_DATA_HOME: "/dev/shm/workfort-test" }), {
      code: 1,
      signal: null,
    });
    assert.match(daemon.log, /is not on btrfs.*nexusctl storage init/);
  } finally {
    await fs.rm("/dev/shm/workfort-test", { recursive: true, force: true });
    await daemon.dispose();
  }
});
