import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { WorkfortError } from "@workfort/contract";
import { runTool } from "@workfort/host/process/run.ts";
import { assertTidy, makeDaemon, refusal, testEnvironment, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const mebibyte = 1024 ** 2;

/** Takes all space there is; gives the function that returns it. */
async function fill(directory: string): Promise<() => Promise<void>> {
  const taken: string[] = [];
  for (let size = 1024 * mebibyte; size >= 4096; size = Math.floor(size / 2)) {
    for (;;) {
      const path = join(directory, `ballast-${taken.length}`);
      const fitted = await runTool(["fallocate", "--length", String(size), path]).then(
        () => true,
        () => false,
      );
      if (fitted) taken.push(path);
      else await fs.rm(path, { force: true });
      if (!fitted) break;
    }
  }
  return async () => {
    for (const path of taken) await fs.rm(path);
  };
}

/** A daemon whose disks lie on a small file system of their own. */
async function withSmallStore(use: (daemon: TestDaemon, store: string) => Promise<void>): Promise<void> {
  const daemon = await makeDaemon({ withoutKernel: true });
  const store = daemon.locations.dataDirectory;
  try {
    const file = join(daemon.directory, "small.btrfs");
    await fs.writeFile(file, "");
    await fs.truncate(file, 1024 * mebibyte); // sparse
    await runTool(["mkfs.btrfs", "--quiet", file]);
    await runTool(["mount", "-o", "loop,noatime,discard=async", file, store]);
    await fs.mkdir(join(store, "kernels"));
    await fs.symlink(testEnvironment().kernelDirectory, join(store, "kernels", "test"));
    await daemon.start();
    await use(daemon, store);
    await daemon.client.call("vm.kill", { params }).catch(() => {});
    await assertTidy(daemon);
  } finally {
    await daemon.stop();
    await runTool(["umount", store], { okCodes: [0, 32] }); // 32: it was not mounted
    await daemon.dispose();
  }
}

test("a full store refuses what needs space, keeps no half of it, and goes on when there is space", () =>
  withSmallStore(async (daemon, store) => {
    const release = await fill(store);
    const { code, hint } = await refusal(daemon.importBase());
    assert.equal(code, "storage_full");
    assert.ok(hint !== undefined, "it says what to do");
    await assertTidy(daemon);
    await release();
    await daemon.importBase();
  }));

test("a store that is read-only is refused as such", () =>
  withSmallStore(async (daemon, store) => {
    await daemon.stop();
    const remount = (how: string): Promise<unknown> => runTool(["mount", "-o", `remount,bind,${how}`, store]);
    await remount("ro");
    try {
      assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
      assert.match(daemon.log, /the store cannot be used: EROFS: .*try: sudo dmesg/);
    } finally {
      await remount("rw");
    }
    await daemon.start();
  }));

test("a guest that meets a full store gets I/O errors, and runs on", () =>
  withSmallStore(async (daemon, store) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.start", { params, body: {} });
    const release = await fill(store);
    const exec = (script: string) =>
      daemon.client.call("vm.exec", { params, body: { argv: ["sh", "-c", script], timeoutMs: 60_000 } });
    const { exitCode } = await exec("dd if=/dev/urandom of=/big bs=1M count=16 conv=fsync");
    assert.notEqual(exitCode, 0);
    const { agent, state } = await daemon.client.call("vm.get", { params });
    assert.deepEqual([state, agent], ["running", "ready"]);
    await release();
  }));

test("records that cannot be written are refused as such, and the daemon serves on", async () => {
  const daemon = await makeDaemon();
  const state = daemon.locations.stateDirectory;
  await fs.mkdir(state, { recursive: true });
  await runTool(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", state]);
  try {
    await daemon.start();
    await daemon.importBase();
    const release = await fill(state);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) =>
        daemon.client.call("vm.create", { body: { name: `vm${index}`, image: "base", memoryMiB: 256 } }),
      ),
    );
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.ok(refused.length > 0, "the records found space after all");
    for (const { reason } of refused) assert.equal((reason as WorkfortError).code, "storage_full");
    assert.equal((await daemon.client.call("system.health")).status, "ok");
    await release();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    // what could not be undone while there was no space is undone by the next daemon at the latest
    await daemon.stop();
    await daemon.start();
    const { vms } = await daemon.client.call("vm.list");
    assert.equal(vms.length, outcomes.length - refused.length + 1);
    await assertTidy(daemon);
    for (const vm of vms) await daemon.client.call("vm.delete", { params: { vm: vm.id } });
    await daemon.client.call("image.delete", { params: { image: "base" } });
    await daemon.stop();
  } finally {
    await daemon.stop();
    await runTool(["umount", state]);
    await daemon.dispose();
  }
});
