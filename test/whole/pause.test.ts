import assert from "node:assert/strict";
import { test } from "node:test";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const ticker = { vm: "dev", process: "ticker" };

async function startTicker(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params, body: {} });
  const script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
  await daemon.client.bytes("process.start", { params, body: { id: "ticker", argv: ["sh", "-c", script] } });
}

const ticks = async (daemon: TestDaemon): Promise<number> =>
  (await daemon.client.call("process.get", { params: ticker })).stdout.end;
const stateOf = async (daemon: TestDaemon): Promise<string> => (await daemon.client.call("vm.get", { params })).state;

/** The guest answers and its work goes on. */
async function assertGoesOn(daemon: TestDaemon): Promise<void> {
  const before = await eventually(
    () => ticks(daemon).catch(() => null),
    (count) => count !== null,
  );
  await eventually(
    () => ticks(daemon),
    (now) => now > (before ?? 0),
  );
}

test("a paused VM stands still, says so, goes on, and can be stopped as it is", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    assert.equal((await daemon.client.call("vm.pause", { params })).state, "paused");
    await assert.rejects(ticks(daemon), { code: "wrong_state", hint: "nexusctl vm resume dev" });
    await assert.rejects(daemon.client.call("vm.pause", { params }), { code: "wrong_state" });
    await assert.rejects(daemon.client.call("vm.delete", { params }), { code: "wrong_state" });
    assert.equal((await daemon.client.call("vm.resume", { params })).state, "running");
    await assert.rejects(daemon.client.call("vm.resume", { params }), { code: "wrong_state" });
    await assertGoesOn(daemon);

    await daemon.client.call("vm.pause", { params });
    const stopped = await daemon.client.call("vm.stop", { params, body: {} });
    assert.deepEqual([stopped.state, stopped.stateReason], ["stopped", "stopped on request"]);

    await daemon.client.call("vm.start", { params, body: {} });
    await daemon.client.call("vm.pause", { params });
    assert.equal((await daemon.client.call("vm.kill", { params })).state, "stopped");
    await assertTidy(daemon);
  }));

test("of two that pause at once one wins", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    const outcomes = await Promise.allSettled([1, 2].map(() => daemon.client.call("vm.pause", { params })));
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    await daemon.client.call("vm.resume", { params });
    await assertGoesOn(daemon);
  }));

test("a daemon that dies finds a paused VM paused, and one whose change it had not yet written as it is", () =>
  withDaemon({}, async (daemon) => {
    await startTicker(daemon);
    await daemon.client.call("vm.pause", { params });
    await daemon.die();
    await daemon.start();
    assert.equal(await stateOf(daemon), "paused");
    await daemon.client.call("vm.resume", { params });
    await assertGoesOn(daemon);

    for (const [verb, then] of [
      ["pause", "paused"],
      ["resume", "running"],
    ] as const) {
      await daemon.stop();
      await daemon.start({ NEXUS_FAILPOINT: `vm.${verb}.done` });
      await daemon.client.call(`vm.${verb}`, { params }).catch(() => {});
      await daemon.awaitEnd();
      await daemon.start();
      assert.equal(await stateOf(daemon), then);
    }
    await assertGoesOn(daemon);
  }));
