import assert from "node:assert/strict";
import { test } from "node:test";
import { Process, type GuestStats } from "@workfort/contract";
import { cutFrames } from "@workfort/contract/output-frames";
import { eventually, refusal, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const statsOf = (daemon: TestDaemon): Promise<GuestStats> => daemon.client.call("vm.stats", { params });

/** Waits for a process's first words, without asking again and again: that would take the processor they need. */
async function hasSpoken(daemon: TestDaemon, process: string): Promise<void> {
  const asked = { params: { ...params, process }, query: { follow: "true" } } as const;
  const { body } = await daemon.client.bytes("process.output", asked);
  for await (const { kind } of cutFrames(body, (value) => Process.parse(value))) if (kind === "stdout") return;
  assert.fail("it has ended without a word");
}

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
    await hasSpoken(daemon, id);
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

test("a guest in which hundreds of processes want its processor can be looked at, and they can be ended", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    await daemon.importBase();
    await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    await client.call("vm.start", { params, body: {} });
    const { agentSince } = await client.call("vm.get", { params });
    // none is in the way of the others' beginning: they wait for the pipe's writer to come and go
    const script = `mkfifo /tmp/go
      for i in $(seq 400); do { read line </tmp/go; while :; do :; done; } & done
      : >/tmp/go; echo begun; wait`;
    const { id } = await client.call("process.start", { params, body: { argv: ["sh", "-c", script] } });
    await hasSpoken(daemon, id);
    await eventually(
      () => statsOf(daemon),
      ({ processes }) => processes.filter(({ command, state }) => command === "sh" && state === "R").length > 200,
    );
    await Promise.all(
      Array.from({ length: 100 }, () =>
        client.call("vm.stats", { params }, { signal: AbortSignal.timeout(50) }).catch(() => {}),
      ),
    );
    assert.ok((await statsOf(daemon)).processCount > 400);
    await client.call("process.signal", { params: { ...params, process: id }, body: { signal: "KILL" } });
    await client.call("process.wait", { params: { ...params, process: id } });
    assert.equal((await client.call("vm.get", { params })).agentSince, agentSince, "the line has never been lost");
  }));
