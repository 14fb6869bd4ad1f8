import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Vm } from "@workfort/contract";
import {
  assertTidy,
  eventually,
  makeDaemon,
  makeFirecrackerDouble,
  refusal,
  withDaemon,
  type TestDaemon,
} from "@workfort/testing";

/** Every rung of the ladder by which a VM is stopped: the agent, Ctrl-Alt-Del, TERM, KILL. */
const params = { vm: "dev" };
const get = (daemon: TestDaemon): Promise<Vm> => daemon.client.call("vm.get", { params });
const start = (daemon: TestDaemon, body: { timeoutMs?: number } = {}): Promise<unknown> =>
  daemon.client.call("vm.start", { params, body });
const exec = async (daemon: TestDaemon, script: string): Promise<string> =>
  (await daemon.client.call("vm.exec", { params, body: { argv: ["sh", "-c", script] } })).stdout.trim();
const create = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });

async function consoleOf(daemon: TestDaemon): Promise<string> {
  const { body } = await daemon.client.bytes("vm.console", { params });
  return Buffer.concat(await Array.fromAsync(body)).toString();
}

async function withDouble(
  use: (daemon: TestDaemon, setFault: (fault: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const daemon = await makeDaemon();
  try {
    const { program, setFault } = await makeFirecrackerDouble(daemon.directory, { bridgedVsock: true });
    await daemon.configure(`api:\n  listen: off\nvmm:\n  firecracker: ${program}\n  confine: false\n`);
    await daemon.start();
    await daemon.importBase();
    await create(daemon);
    await use(daemon, (fault) => setFault(fault));
  } finally {
    await daemon.dispose();
  }
}

/** Stops it and gives what is said of its end. */
async function stop(daemon: TestDaemon, graceMs: number): Promise<string> {
  const { state, stateReason } = await daemon.client.call("vm.stop", { params, body: { graceMs } });
  assert.equal(state, "stopped");
  await eventually(
    () => daemon.leftovers(),
    (left) => left.length === 0,
  );
  return stateReason;
}

test("Ctrl-Alt-Del ends a guest in order: its processes are asked, its disk is left clean", () =>
  withDaemon({ config: "api:\n  listen: off\nvmm:\n  default: qemu\n" }, async (daemon) => {
    await daemon.importBase();
    await create(daemon);
    await start(daemon);
    assert.equal(await exec(daemon, "cat /proc/sys/kernel/ctrl-alt-del"), "0", "the kernel tells the agent");
    const script = "trap 'echo asked > /root/asked; exit' TERM; while :; do sleep 0.1; done";
    await daemon.client.bytes("process.start", { params, body: { id: "work", argv: ["sh", "-c", script] } });
    await exec(daemon, "echo kept > /root/data");

    await daemon.die();
    const channel = await takeAgentChannel(daemon);
    await daemon.start();
    assert.equal((await get(daemon)).agent, "connecting");
    assert.equal(await stop(daemon, 60_000), "stopped on request");
    channel.destroy();
    await start(daemon);
    assert.equal(await exec(daemon, "cat /root/asked /root/data"), "asked\nkept");
    await assertTidy(daemon);
  }));

/** QEMU's channel has one client at a time: while it is ours, the daemon reaches no agent. */
async function takeAgentChannel(daemon: TestDaemon): Promise<Socket> {
  const runs = join(daemon.locations.runtimeDirectory, "vms");
  const [run = ""] = await fs.readdir(runs);
  return connect(join(runs, run, "vmm/agent"))
    .on("error", () => {})
    .resume();
}

test("where Firecracker's guest cannot be reached, Ctrl-Alt-Del ends it; where nothing does, a signal", () =>
  withDouble(async (daemon, setFault) => {
    await setFault("lost-vsock");
    assert.equal((await refusal(start(daemon, { timeoutMs: 1000 }))).code, "timeout");
    await eventually(
      () => consoleOf(daemon),
      (text) => /guest-agent .* ready/.test(text),
    );
    assert.equal(await stop(daemon, 60_000), "stopped on request");

    await setFault("poweroff-does-not-exit");
    await start(daemon);
    assert.match(await stop(daemon, 3000), /^stopped on request \(the guest did not shut down within 3 s\)$/);

    await setFault("poweroff-does-not-exit,deaf");
    await start(daemon);
    assert.match(await stop(daemon, 100), /did not shut down within 0\.1 s/);
    assert.equal((await daemon.client.call("vm.history", { params })).boots[0]?.signal, "SIGKILL");

    await setFault("");
    await start(daemon);
    process.kill((await get(daemon)).running?.pid ?? 0, "SIGSTOP"); // it ignores everything from now on
    assert.match(await stop(daemon, 2000), /did not shut down within 2 s/);

    await start(daemon);
    await daemon.client.call("vm.pause", { params });
    process.kill((await get(daemon)).running?.pid ?? 0, "SIGSTOP");
    assert.equal(await stop(daemon, 60_000), "stopped on request (it was paused and could not be resumed)");

    await start(daemon);
    assert.equal(await stop(daemon, 60_000), "stopped on request");
    await assertTidy(daemon);
  }));
