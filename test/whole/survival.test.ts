import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { readOutputStream } from "@workfort/contract";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const ticker = { vm: "dev", process: "ticker" };

async function startTicker(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params, body: {} });
  const script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";
  await daemon.client.bytes("process.start", { params, body: { id: "ticker", argv: ["sh", "-c", script] } });
}

const ready = (daemon: TestDaemon): Promise<unknown> =>
  eventually(
    () => daemon.client.call("vm.get", { params }),
    (vm) => vm.state === "running" && vm.agent === "ready",
  );
const ticks = async (daemon: TestDaemon): Promise<number> =>
  (await daemon.client.call("process.get", { params: ticker })).stdout.end;

test("a daemon killed with -9, ten times, loses neither the VM nor a line of its work", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    const pid = (await daemon.client.call("vm.get", { params })).running?.pid;
    for (let round = 0; round < 10; round += 1) {
      await daemon.die();
      await daemon.start();
      await ready(daemon);
    }
    assert.equal((await daemon.client.call("vm.get", { params })).running?.pid, pid, "it is the same VMM");
    const before = await ticks(daemon);
    await eventually(
      () => ticks(daemon),
      (now) => now > before,
    );
    const { body } = await daemon.client.bytes("process.output", { params: ticker });
    let text = "";
    for await (const frame of readOutputStream(body)) if (frame.kind === "stdout") text += frame.bytes.toString();
    const lines = text.trimEnd().split("\n").map(Number);
    assert.deepEqual(
      lines,
      lines.map((_, index) => index + 1),
      "no line is missing or doubled",
    );
    await assertTidy(daemon);
  }));

test("SIGTERM ends the daemon with 0 and leaves VMs alone; one that dies meanwhile is told of", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    const pid = (await daemon.client.call("vm.get", { params })).running?.pid ?? 0;
    const environment = (await fs.readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
    for (const variable of environment) assert.match(variable, /^(?:(?:PATH|LD_LIBRARY_PATH)=.*)?$/);
    assert.equal(await daemon.stop(), 0);
    process.kill(pid, 0); // the VMM lives
    await daemon.start();
    await ready(daemon);
    await daemon.stop();
    process.kill(pid, "SIGKILL"); // the VMM of this test's own VM
    await daemon.start();
    const vm = await eventually(
      () => daemon.client.call("vm.get", { params }),
      ({ state }) => state === "crashed",
    );
    assert.equal(vm.stateReason, "the VMM was ended by SIGKILL");
    assert.equal((await daemon.client.call("vm.history", { params })).boots[0]?.signal, "SIGKILL");
    await eventually(
      () => daemon.processes(),
      (left) => left.length === 0,
    );
    await assertTidy(daemon);
  }));

test("a death at any step of start and stop leaves a VM that runs or does not, and nothing between", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    for (const step of ["vm.stop.intent", "vm.end.settled"]) {
      await daemon.stop();
      await daemon.start({ NEXUS_FAILPOINT: step });
      await ready(daemon);
      await daemon.client.call("vm.stop", { params, body: {} }).catch(() => {});
      await daemon.awaitEnd();
      await daemon.start();
      await eventually(
        () => daemon.client.call("vm.get", { params }),
        ({ state }) => state === "stopped",
      );
      await eventually(
        () => daemon.processes(),
        (left) => left.length === 0,
      );
      await assertTidy(daemon);
      await daemon.client.call("vm.start", { params, body: {} });
    }
    for (const step of ["vm.start.intent", "vm.start.spawned", "vm.start.running"]) {
      await daemon.client.call("vm.kill", { params });
      await daemon.stop();
      await daemon.start({ NEXUS_FAILPOINT: step });
      await assert.rejects(daemon.client.call("vm.start", { params, body: {} }));
      await daemon.awaitEnd();
      await daemon.start();
      const { state } = await daemon.client.call("vm.get", { params });
      assert.equal(state, step === "vm.start.intent" ? "stopped" : "running", `after ${step}`);
      if (state === "stopped") await daemon.client.call("vm.start", { params, body: {} });
      await ready(daemon);
      await assertTidy(daemon);
    }
  }));

test("a start that fails after VMs were found again ends, and leaves them alone", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    await daemon.stop();
    await using taken = createServer();
    await once(taken.listen(0, "127.0.0.1"), "listening");
    const { configFile } = daemon.locations;
    const before = await fs.readFile(configFile);
    await fs.writeFile(configFile, `api:\n  listen: 127.0.0.1:${(taken.address() as AddressInfo).port}\n`);
    assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
    await fs.writeFile(configFile, before);
    await daemon.start();
    await ready(daemon);
    assert.ok((await ticks(daemon)) > 0);
  }));
