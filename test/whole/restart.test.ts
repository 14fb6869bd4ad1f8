import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { RestartPolicy, Vm } from "@workfort/contract";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const get = (daemon: TestDaemon): Promise<Vm> => daemon.client.call("vm.get", { params });

async function createAndStart(daemon: TestDaemon, restart: RestartPolicy): Promise<number> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256, restart } });
  await daemon.client.call("vm.start", { params, body: {} });
  return (await get(daemon)).running?.pid ?? 0;
}

/** Ends the VMM of this test's own VM, and waits until another runs with an agent that answers. */
async function crashAndReturn(daemon: TestDaemon, pid: number): Promise<number> {
  process.kill(pid, "SIGKILL");
  const vm = await eventually(
    () => get(daemon),
    ({ running, agent }) => running !== null && running.pid !== pid && agent === "ready",
  );
  return vm.running?.pid ?? 0;
}

const shutItselfDown = (daemon: TestDaemon): void =>
  void daemon.client
    .call("vm.exec", { params, body: { argv: ["sh", "-c", "echo b > /proc/sysrq-trigger"] } })
    .catch(() => {});

test("a VM that crashes is started again, as often as it does, and its history says why", () =>
  withDaemon({}, async (daemon) => {
    let pid = await createAndStart(daemon, "on-failure");
    pid = await crashAndReturn(daemon, pid);
    await crashAndReturn(daemon, pid);
    const { states, boots } = await daemon.client.call("vm.history", { params });
    assert.equal(boots.length, 3);
    assert.equal(
      states.filter(({ reason }) => reason === "started again by its restart policy").length,
      2,
      JSON.stringify(states),
    );

    shutItselfDown(daemon);
    const stopped = await eventually(
      () => get(daemon),
      ({ state }) => state === "stopped",
    );
    assert.equal(stopped.restartAt, null, "a guest that shuts itself down has not failed");
    await assertTidy(daemon);
  }));

test("always: a guest that shuts itself down comes back, one that was stopped does not", () =>
  withDaemon({}, async (daemon) => {
    const pid = await createAndStart(daemon, "always");
    shutItselfDown(daemon);
    await eventually(
      () => get(daemon),
      ({ running, agent }) => running !== null && running.pid !== pid && agent === "ready",
    );
    await daemon.client.call("vm.stop", { params, body: {} });
    const { state, restartAt } = await get(daemon);
    assert.deepEqual([state, restartAt], ["stopped", null]);
    await daemon.client.call("vm.start", { params, body: {} });
    await daemon.client.call("vm.kill", { params });
    assert.equal((await get(daemon)).restartAt, null);
    await assertTidy(daemon);
  }));

test("a restart that is due survives the daemon, and stopping the VM gives it up", () =>
  withDaemon({}, async (daemon) => {
    const pid = await createAndStart(daemon, "on-failure");
    await daemon.die();
    process.kill(pid, "SIGKILL"); // the VMM of this test's own VM
    await daemon.start();
    await eventually(
      () => get(daemon),
      ({ running, agent }) => running !== null && running.pid !== pid && agent === "ready",
    );

    process.kill((await get(daemon)).running?.pid ?? 0, "SIGKILL");
    await eventually(
      () => get(daemon),
      ({ restartAt }) => restartAt !== null,
    );
    await daemon.die();
    await daemon.start();
    const due = await get(daemon);
    if (due.restartAt !== null) {
      await daemon.client.call("vm.stop", { params, body: {} });
      const { state, restartAt } = await get(daemon);
      assert.deepEqual([state, restartAt], ["crashed", null]);
    } else assert.equal(due.state, "running", "it was quick");
    await daemon.client.call("vm.kill", { params }).catch(() => {});
    await assertTidy(daemon);
  }));

/** This machine cannot be restarted for a test; the record of its last boot can be another's. */
function forgetHostBoot(daemon: TestDaemon): void {
  const database = new DatabaseSync(join(daemon.locations.stateDirectory, "nexus.db"));
  database.exec("UPDATE host_boot SET boot_id = 'an earlier boot'");
  database.close();
}

test("a VM that starts with the host does, once a boot", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    const body = { image: "base", memoryMiB: 256 };
    await daemon.client.call("vm.create", { body: { ...body, name: "dev", startOnBoot: true } });
    await daemon.client.call("vm.create", { body: { ...body, name: "other" } });
    await daemon.stop();
    forgetHostBoot(daemon);
    await daemon.start();
    const vm = await eventually(
      () => get(daemon),
      ({ agent }) => agent === "ready",
    );
    assert.equal(vm.startOnBoot, true);
    const { states } = await daemon.client.call("vm.history", { params });
    assert.equal(states.find(({ to }) => to === "starting")?.reason, "started since the host has booted");
    assert.equal((await daemon.client.call("vm.get", { params: { vm: "other" } })).state, "created");

    await daemon.client.call("vm.stop", { params, body: {} });
    await daemon.stop();
    await daemon.start();
    const { state, restartAt } = await get(daemon);
    assert.deepEqual([state, restartAt], ["stopped", null]);
    await assertTidy(daemon);
  }));
