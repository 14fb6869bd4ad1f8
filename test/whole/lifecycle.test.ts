import assert from "node:assert/strict";
import { test } from "node:test";
import { runTool } from "@workfort/host/process/run.ts";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

const vm = "dev";
const params = { vm };

async function exec(daemon: TestDaemon, script: string): Promise<string> {
  const answer = await daemon.client.call("vm.exec", {
    params,
    body: { argv: ["sh", "-c", script], timeoutMs: 60_000 },
  });
  assert.equal(answer.exitCode, 0, answer.stderr);
  return answer.stdout.trim();
}

async function createAndStart(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: vm, image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params, body: {} });
}

const stateOf = async (daemon: TestDaemon): Promise<{ state: string; stateReason: string }> =>
  await daemon.client.call("vm.get", { params });

test("a VM's life: start, work, stop, start again with its data, kill, delete", () =>
  withDaemon({}, async (daemon) => {
    await createAndStart(daemon);
    const running = await daemon.client.call("vm.get", { params });
    assert.deepEqual([running.state, running.agent, running.cid], ["running", "ready", 3]);
    assert.equal(await exec(daemon, "hostname"), vm);
    const timed = await eventually(
      async () => (await daemon.client.call("vm.history", { params })).boots[0]?.guestBootMs ?? null,
      (ms) => running.running?.kind === "qemu" || ms !== null,
    );
    assert.ok(timed === null || timed > 0, "Firecracker's own boot timer");
    const asked = Date.now();
    const guestTime = Number(await exec(daemon, "date +%s%3N"));
    assert.ok(guestTime > asked - 2000 && guestTime < Date.now() + 2000, "the guest's clock is right");
    await exec(daemon, "echo kept > /root/data");
    await assertTidy(daemon);

    const stopped = await daemon.client.call("vm.stop", { params, body: {} });
    assert.deepEqual(
      [stopped.state, stopped.stateReason, stopped.agent, stopped.running],
      ["stopped", "stopped on request", "absent", null],
    );
    const disk = `${daemon.locations.dataDirectory}/workspaces/${running.workspaceId.slice(3)}/rootfs.ext4`;
    await runTool(["e2fsck", "-f", "-n", disk]);
    await assertTidy(daemon);

    await daemon.client.call("vm.start", { params, body: {} });
    assert.equal(await exec(daemon, "cat /root/data"), "kept");
    const usage = await daemon.client.call("workspace.get", { params: { workspace: vm } });
    assert.ok(usage.sharedBytes > 50 * 1024 ** 2 && usage.exclusiveBytes < usage.sharedBytes, JSON.stringify(usage));
    await assert.rejects(daemon.client.call("vm.delete", { params }), { code: "wrong_state" });
    assert.equal((await daemon.client.call("vm.kill", { params })).stateReason, "killed on request");

    const { states, boots } = await daemon.client.call("vm.history", { params });
    assert.deepEqual(states.map((change) => change.to).toReversed(), [
      "created",
      "starting",
      "running",
      "stopping",
      "stopped",
      "starting",
      "running",
      "stopped",
    ]);
    assert.deepEqual(
      boots.map((boot) => boot.number),
      [2, 1],
    );
    const configured = boots[1]?.vmm === "firecracker" ? ["configure"] : []; // QEMU has it all on its command line
    assert.deepEqual(
      boots[1]?.phases.map((phase) => phase.name),
      ["spawn", "vmm_api", ...configured, "kernel", "agent"],
    );
    assert.equal(boots[0]?.signal, "SIGKILL");
    await daemon.client.call("vm.delete", { params });
    assert.deepEqual((await daemon.client.call("workspace.list")).workspaces, []);
    await assertTidy(daemon);
  }));

test("the end of a VM is told for what it was", () =>
  withDaemon({}, async (daemon) => {
    await createAndStart(daemon);
    const start = (): Promise<unknown> => daemon.client.call("vm.start", { params, body: {} });
    const ended = (): Promise<{ state: string; stateReason: string }> =>
      eventually(
        () => stateOf(daemon),
        ({ state }) => state === "stopped" || state === "crashed",
      );

    const { running } = await daemon.client.call("vm.get", { params });
    assert.ok(running !== null);
    const killedAt = Date.now();
    process.kill(running.pid, "SIGKILL"); // the VMM of this test's own VM
    assert.deepEqual(await ended().then(({ state, stateReason }) => [state, stateReason]), [
      "crashed",
      "the VMM was ended by SIGKILL",
    ]);
    const { endedAt } = await daemon.client.call("vm.get", { params });
    assert.ok((endedAt ?? Infinity) - killedAt < 1000, "a crash is known within a second");

    await start();
    void daemon.client
      .call("vm.exec", { params, body: { argv: ["sh", "-c", "echo c > /proc/sysrq-trigger"] } })
      .catch(() => {});
    const panicked = await ended();
    assert.equal(panicked.state, "crashed");
    assert.match(panicked.stateReason, /Kernel panic - not syncing: sysrq triggered crash/);
    const { body } = await daemon.client.bytes("vm.console", { params });
    assert.match(Buffer.concat(await Array.fromAsync(body)).toString(), /Kernel panic/, "the console is kept");

    await start();
    void daemon.client
      .call("vm.exec", { params, body: { argv: ["sh", "-c", "echo b > /proc/sysrq-trigger"] } })
      .catch(() => {});
    assert.deepEqual(await ended().then(({ state, stateReason }) => [state, stateReason]), [
      "stopped",
      "the guest shut itself down",
    ]);
    await assertTidy(daemon);

    await start();
    const keeper = (await daemon.processes()).find((line) => line.includes("/keeper "));
    process.kill(Number(/^process (\d+)/.exec(keeper ?? "")?.[1]), "SIGKILL"); // the keeper of this test's own VM
    assert.deepEqual(await ended().then(({ state, stateReason }) => [state, stateReason]), [
      "crashed",
      "its keeper is gone, and the VMM with it",
    ]);
    await eventually(
      () => daemon.processes(),
      (left) => left.length === 0,
    );
    await assertTidy(daemon);
  }));

test("a workspace outlives its VM if that is wanted, and serves another", () =>
  withDaemon({}, async (daemon) => {
    await createAndStart(daemon);
    await exec(daemon, "echo handed over > /root/note; sync");
    await daemon.client.call("vm.stop", { params, body: {} });
    await daemon.client.call("vm.delete", { params, query: { keepWorkspace: "true" } });
    await daemon.client.call("vm.create", { body: { name: "next", workspace: vm } });
    await assert.rejects(daemon.client.call("vm.create", { body: { name: "third", workspace: vm } }), {
      code: "in_use",
    });
    await assert.rejects(daemon.client.call("workspace.delete", { params: { workspace: vm } }), { code: "in_use" });
    await daemon.client.call("vm.start", { params: { vm: "next" }, body: {} });
    const { stdout } = await daemon.client.call("vm.exec", {
      params: { vm: "next" },
      body: { argv: ["cat", "/root/note"] },
    });
    assert.equal(stdout, "handed over\n");
  }));
