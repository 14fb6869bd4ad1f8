import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestStats } from "@workfort/contract";
import { eventually, refusal, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const statsOf = (daemon: TestDaemon): Promise<GuestStats> => daemon.client.call("vm.stats", { params });

test("a guest tells what it uses, with more processes than it tells of", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    await daemon.importBase();
    await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    const { code, message } = await refusal(statsOf(daemon));
    assert.deepEqual([code, message], ["wrong_state", 'VM "dev" does not run (it is created)']);
    await client.call("vm.start", { params, body: {} });

    const first = await statsOf(daemon);
    assert.equal(first.processorCount, 1);
    assert.ok(first.memory.totalBytes > 300 * 1024 ** 2 && first.memory.totalBytes < 512 * 1024 ** 2);
    assert.deepEqual(
      first.fileSystems.map(({ path, kind }) => [path, kind]),
      [["/", "ext4"]],
    );
    const usage = first.fileSystems[0]?.usage;
    assert.ok(usage != null && usage.sizeBytes > usage.freeBytes && usage.freeBytes >= usage.availableBytes);
    assert.ok(first.interfaces.some(({ name }) => name === "lo"));
    assert.equal(first.processes.find(({ pid }) => pid === 1)?.user, "root");

    // a busy one comes to the top, and many are counted
    const script = "for i in $(seq 300); do sleep 1000 & done; echo begun; while :; do :; done";
    const { id } = await client.call("process.start", { params, body: { argv: ["sh", "-c", script] } });
    // while they begin, nobody in the guest gets much of its one processor
    await eventually(
      () => client.call("process.get", { params: { ...params, process: id } }),
      ({ stdout }) => stdout.end > 0,
    );
    const many = await eventually(
      () => statsOf(daemon),
      ({ processCount, processes }) => processCount > 300 && processes[0]?.command === "sh",
    );
    assert.equal(many.processes.length, 256);
    assert.ok(many.threadCount >= many.processCount);
    assert.ok(many.cpu.userMs + many.cpu.systemMs > first.cpu.userMs + first.cpu.systemMs);
    await client.call("process.signal", { params: { ...params, process: id }, body: { signal: "KILL" } });

    await client.call("vm.pause", { params });
    assert.equal((await refusal(statsOf(daemon))).code, "wrong_state");
    await client.call("vm.kill", { params });
  }));
