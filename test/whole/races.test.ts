import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const codes = (settled: PromiseSettledResult<unknown>[]): string[] =>
  settled.map((one) => (one.status === "fulfilled" ? "ok" : String((one.reason as { code?: string }).code))).toSorted();
const times = <T>(count: number, work: (index: number) => Promise<T>): Promise<PromiseSettledResult<T>[]> =>
  Promise.allSettled(Array.from({ length: count }, (_, index) => work(index)));

async function importTiny(daemon: TestDaemon): Promise<void> {
  const disk = join(daemon.directory, "tiny.ext4");
  await runTool(["mke2fs", "-q", "-F", "-t", "ext4", disk, "16M"]);
  await daemon.client.call("image.import", { body: { name: "tiny", source: disk } });
}

test("of callers that race one wins, and the others are told why", () =>
  withDaemon({ withoutKernel: true }, async (daemon) => {
    await importTiny(daemon);
    const same = await times(10, () => daemon.client.call("vm.create", { body: { name: "dev", image: "tiny" } }));
    assert.deepEqual(codes(same), [...Array.from({ length: 9 }, () => "name_taken"), "ok"]);
    await times(20, (index) => daemon.client.call("vm.create", { body: { name: `many-${index}`, image: "tiny" } }));
    const { vms } = await daemon.client.call("vm.list");
    assert.equal(new Set(vms.map((vm) => vm.cid)).size, 21);
    assert.ok(vms.every((vm) => vm.cid >= 3));
    const deleted = await times(5, () => daemon.client.call("vm.delete", { params }));
    assert.deepEqual(codes(deleted), ["not_found", "not_found", "not_found", "not_found", "ok"]);
    const [image, workspace] = await Promise.allSettled([
      daemon.client.call("image.delete", { params: { image: "tiny" } }),
      daemon.client.call("workspace.create", { body: { name: "late", image: "tiny" } }),
    ]);
    assert.deepEqual([image.status, workspace.status], ["rejected", "fulfilled"]);
    await assertTidy(daemon);
  }));

test("starts, stops, deletes and kills at once", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    const start = (): Promise<unknown> => daemon.client.call("vm.start", { params, body: {} });
    const first = start();
    await eventually(
      () => daemon.client.call("vm.get", { params }),
      ({ state }) => state !== "created",
    );
    assert.deepEqual(codes(await Promise.allSettled([start(), daemon.client.call("vm.delete", { params })])), [
      "wrong_state",
      "wrong_state",
    ]);
    await first;
    const stop = (): Promise<unknown> => daemon.client.call("vm.stop", { params, body: {} });
    assert.deepEqual(codes(await times(3, stop)), ["ok", "wrong_state", "wrong_state"]);
    await assertTidy(daemon);

    const starting = start();
    starting.catch(() => {});
    await eventually(
      () => daemon.client.call("vm.get", { params }),
      ({ state }) => state === "starting" || state === "running",
    );
    await daemon.client.call("vm.kill", { params });
    await assert.rejects(starting);
    assert.equal((await daemon.client.call("vm.get", { params })).state, "stopped");
    await assertTidy(daemon);
  }));

test("more memory than the host can back is refused with the sum, also to two at once", () =>
  withDaemon({ config: "api:\n  listen: off\nmemory:\n  limitMiB: 700\n" }, async (daemon) => {
    await daemon.importBase();
    for (const name of ["one", "two"])
      await daemon.client.call("vm.create", { body: { name, image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.create", { body: { name: "huge", image: "base", memoryMiB: 4096 } });
    await assert.rejects(daemon.client.call("vm.start", { params: { vm: "huge" }, body: {} }), {
      code: "insufficient_memory",
      message:
        /it needs \d+ MiB \(4096 for the guest and \d+ for the VMM\), but of the 700 MiB that VMs may have on this host 0 are taken/,
    });
    const both = await Promise.allSettled(
      ["one", "two"].map((vm) => daemon.client.call("vm.start", { params: { vm }, body: {} })),
    );
    assert.deepEqual(codes(both), ["insufficient_memory", "ok"]);
  }));
