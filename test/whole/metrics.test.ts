import assert from "node:assert/strict";
import { test } from "node:test";
import type { VmMetrics } from "@workfort/contract";
import { eventually, makeDaemon, makeFirecrackerDouble, refusal, withDaemon, type TestDaemon } from "@workfort/testing";
import { ask } from "./raw-http.ts";

const params = { vm: "dev" };
const mebibyte = 1024 ** 2;
const metricsOf = (daemon: TestDaemon): Promise<VmMetrics> => daemon.client.call("vm.metrics", { params });
const sh = (daemon: TestDaemon, script: string): Promise<unknown> =>
  daemon.client.call("vm.exec", { params, body: { argv: ["sh", "-ec", script] } });

/** Lines of Prometheus's text format: `name{label="value"} 1`, by all before the number. */
async function scrape(daemon: TestDaemon): Promise<Map<string, number>> {
  const { status, headers, body } = await ask({ socketPath: daemon.locations.socket }, { path: "/v1/metrics" });
  assert.equal(status, 200);
  assert.equal(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  const lines = body
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const [, series = "", value = ""] = /^([a-zA-Z_:][\w:]*(?:\{(?:\w+="[^"\\]*",?)*\})?) (\S+)$/.exec(line) ?? [];
      assert.notEqual(series, "", line);
      assert.ok(Number.isFinite(Number(value)), line);
      return [series, Number(value)];
    }),
  );
}

async function createWithDrive(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("drive.create", { body: { name: "data", sizeBytes: 64 * mebibyte } });
  await daemon.client.call("drive.attach", { params: { drive: "data" }, body: { vm: "dev", mountPath: "/data" } });
}

const write = "dd if=/dev/urandom of=/data/file bs=1M count=8 conv=fsync 2>/dev/null";

test("what a VM uses and what its disks do is told, to people and to Prometheus", () =>
  withDaemon({}, async (daemon) => {
    await createWithDrive(daemon);
    const { code, message } = await refusal(metricsOf(daemon));
    assert.deepEqual([code, message], ["wrong_state", 'VM "dev" is created: it has no VMM that could be measured']);
    assert.equal((await scrape(daemon)).get('workfort_vms{state="created"}'), 1);

    await daemon.client.call("vm.start", { params, body: {} });
    const before = await metricsOf(daemon);
    await sh(daemon, write);
    const after = await metricsOf(daemon);
    assert.deepEqual(
      after.disks?.map(({ name }) => name),
      ["root", "data"],
    );
    const [was, is] = [before.disks?.[1], after.disks?.[1]];
    assert.ok(was !== undefined && is !== undefined);
    assert.ok(is.writtenBytes - was.writtenBytes >= 8 * mebibyte, JSON.stringify([was, is]));
    assert.ok(is.writes > was.writes && is.flushes > was.flushes);
    assert.ok((after.disks?.[0]?.readBytes ?? 0) > mebibyte, "the root was read at boot");
    assert.ok(after.processorSeconds > before.processorSeconds);
    assert.ok(after.residentBytes > 32 * mebibyte && after.residentBytes < 1024 * mebibyte);

    const series = await scrape(daemon);
    assert.equal(series.get('workfort_vms{state="running"}'), 1);
    assert.ok((series.get('workfort_vm_disk_written_bytes_total{vm="dev",disk="data"}') ?? 0) >= is.writtenBytes);
    assert.ok((series.get('workfort_vm_processor_seconds_total{vm="dev"}') ?? 0) >= after.processorSeconds);
    assert.equal(series.get('workfort_vm_disks_answered{vm="dev"}'), 1);
    assert.ok((series.get("process_resident_memory_bytes") ?? 0) > mebibyte);

    await daemon.client.call("vm.pause", { params });
    assert.deepEqual((await metricsOf(daemon)).disks, (await metricsOf(daemon)).disks);
  }));

test("a VMM that hangs loses its disks' counters, and holds no scrape up", () =>
  withDaemon({}, async (daemon) => {
    await createWithDrive(daemon);
    await daemon.client.call("vm.create", { body: { name: "other", image: "base", memoryMiB: 256 } });
    for (const vm of ["dev", "other"]) await daemon.client.call("vm.start", { params: { vm }, body: {} });
    const pid = (await daemon.client.call("vm.get", { params })).running?.pid ?? 0;
    process.kill(pid, "SIGSTOP"); // this test's own VM
    try {
      const series = await scrape(daemon);
      assert.equal(series.get('workfort_vm_disks_answered{vm="dev"}'), 0);
      assert.equal(series.get('workfort_vm_disks_answered{vm="other"}'), 1);
      assert.ok((series.get('workfort_vm_resident_bytes{vm="dev"}') ?? 0) > mebibyte);
      assert.equal((await metricsOf(daemon)).disks, null);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  }));

test("Firecracker's counters are summed over its lines, and begin again with a daemon", async () => {
  const daemon = await makeDaemon();
  try {
    const { program } = await makeFirecrackerDouble(daemon.directory);
    await daemon.configure(`api:\n  listen: off\nvmm:\n  firecracker: ${program}\n  confine: false\n`);
    await daemon.start();
    await createWithDrive(daemon);
    await daemon.client.call("vm.start", { params, body: {} });
    for (const [daemonDies, expected] of [
      [false, 8],
      [false, 16],
      [true, 8],
    ] as const) {
      if (daemonDies) {
        await metricsOf(daemon);
        await daemon.die();
        await daemon.start();
        await eventually(
          () => daemon.client.call("vm.get", { params }),
          ({ agent }) => agent === "ready",
        );
      }
      await sh(daemon, write);
      const written = (await metricsOf(daemon)).disks?.[1]?.writtenBytes ?? 0;
      assert.ok(written >= expected * mebibyte && written < (expected + 7) * mebibyte, `${expected}: ${written}`);
    }
    const both = await Promise.all([metricsOf(daemon), metricsOf(daemon)]);
    assert.ok(both.every(({ disks }) => disks?.length === 2));
    await daemon.client.call("vm.stop", { params, body: {} });
  } finally {
    await daemon.dispose();
  }
});
