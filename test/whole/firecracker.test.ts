import assert from "node:assert/strict";
import { test } from "node:test";
import type { Vm } from "@workfort/contract";
import { assertTidy, eventually, makeDaemon, makeFirecrackerDouble, type TestDaemon } from "@workfort/testing";

/** The driver end to end through Firecracker's own protocol, with a double; the real one is for `npm run lab`. */
const params = { vm: "dev" };
const get = (daemon: TestDaemon): Promise<Vm> => daemon.client.call("vm.get", { params });
const start = (daemon: TestDaemon): Promise<unknown> => daemon.client.call("vm.start", { params, body: {} });

async function withFirecracker(use: (daemon: TestDaemon) => Promise<void>): Promise<void> {
  const daemon = await makeDaemon();
  try {
    const { program } = await makeFirecrackerDouble(daemon.directory);
    await daemon.configure(`api:\n  listen: off\nvmm:\n  firecracker: ${program}\n  confine: false\n`);
    await daemon.start();
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await use(daemon);
  } finally {
    await daemon.dispose();
  }
}

const ended = (daemon: TestDaemon): Promise<Vm> =>
  eventually(
    () => get(daemon),
    ({ state }) => state === "stopped" || state === "crashed",
  );

test("Firecracker is taken where it works; a VM's life by it, with the daemon killed in between", () =>
  withFirecracker(async (daemon) => {
    await start(daemon);
    const { vmm } = await daemon.client.call("system.status");
    assert.deepEqual([vmm.kind, vmm.accelerator, vmm.version], ["firecracker", "kvm", "1.15.1"]);
    const vm = await get(daemon);
    assert.deepEqual([vm.running?.kind, vm.agent], ["firecracker", "ready"]);
    const { stdout } = await daemon.client.call("vm.exec", {
      params,
      body: { argv: ["sh", "-c", "hostname; cat /proc/cmdline"] },
    });
    assert.match(stdout, /^dev\n.*8250\.nr_uarts=1/);
    const boot = (await daemon.client.call("vm.history", { params })).boots[0];
    assert.deepEqual(
      boot?.phases.map(({ name }) => name),
      ["spawn", "vmm_api", "configure", "kernel", "agent"],
    );
    const timed = await eventually(
      async () => (await daemon.client.call("vm.history", { params })).boots[0]?.guestBootMs ?? null,
      (ms) => ms !== null,
    );
    assert.ok(timed !== null && timed > 0, "its own boot timer");

    await daemon.die();
    await daemon.start();
    await eventually(
      () => get(daemon),
      ({ agent }) => agent === "ready",
    );
    assert.equal((await get(daemon)).running?.pid, vm.running?.pid);
    await daemon.client.call("vm.pause", { params });
    await daemon.die();
    await daemon.start();
    assert.equal((await get(daemon)).state, "paused");
    await daemon.client.call("vm.resume", { params });
    await daemon.client.call("vm.exec", { params, body: { argv: ["true"] } });
    await daemon.client.call("vm.stop", { params, body: {} });
    await assertTidy(daemon);
  }));

test("the ends of Firecracker's VMs are told for what they were", () =>
  withFirecracker(async (daemon) => {
    await start(daemon);
    process.kill((await get(daemon)).running?.pid ?? 0, "SIGKILL"); // the double of this test's own VM
    const killed = await ended(daemon);
    assert.deepEqual([killed.state, killed.stateReason], ["crashed", "the VMM was ended by SIGKILL"]);
    await start(daemon);
    void daemon.client
      .call("vm.exec", { params, body: { argv: ["sh", "-c", "echo b > /proc/sysrq-trigger"] } })
      .catch(() => {});
    const shut = await ended(daemon);
    assert.deepEqual([shut.state, shut.stateReason], ["stopped", "the guest shut itself down"]);
    await eventually(
      () => daemon.leftovers(),
      (left) => left.length === 0,
    );
    await assertTidy(daemon);
  }));
