import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { VmState } from "@workfort/contract";
import {
  Drives,
  Events,
  Journal,
  Reservations,
  type DiskBuilder,
  type StorageDriver,
  type VmRecord,
} from "@workfort/core";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

/**
 * The rules of data drives over real records. Storage and builder are doubles whose work lasts until the test lets it
 * end, since no real disk can be held in the middle of a copy.
 */
interface World {
  store: SqliteStore;
  drives: Drives;
  vm: VmRecord;
  setState: (state: VmState) => void;
  /** the next work on a disk lasts until the returned function is called */
  hold: () => () => void;
}

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const calling = { onProgress: () => {} };
const mebibyte = 1024 ** 2;

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "drives-"));
  const store = new SqliteStore(join(directory, "nexus.db"));
  let gate = Promise.resolve();
  const work = (): Promise<void> => gate;
  const storage: Pick<
    StorageDriver,
    "createDrive" | "snapshotDrive" | "replaceDrive" | "dropReplacement" | "delete" | "diskPath"
  > = {
    createDrive: (_, fill) => fill("/disk"),
    snapshotDrive: work,
    replaceDrive: work,
    dropReplacement: work,
    delete: work,
    diskPath: () => "/disk",
  };
  const builder: Pick<DiskBuilder, "buildDrive" | "replayJournal"> = {
    buildDrive: async (_, __, { sizeBytes = mebibyte }) => {
      await gate;
      return { sizeBytes };
    },
    replayJournal: work,
  };
  const vm: VmRecord = {
    id: "vm_dev",
    name: "dev",
    state: "stopped",
    stateReason: "made by the test",
    cid: 3,
    vcpuCount: 1,
    memoryMiB: 64,
    vmm: "auto",
    restart: "never",
    startOnBoot: false,
    hasNetwork: false,
    workspaceId: "ws_dev",
    createdAt: 1,
    startedAt: null,
    endedAt: null,
  };
  store.insertWorkspace({ id: "ws_dev", name: "dev", imageId: null, createdAt: 1 });
  store.insertVm(vm);
  const drives = new Drives({
    store,
    events: new Events({ store }),
    storage: storage as StorageDriver,
    builder: builder as DiskBuilder,
    reservations: new Reservations(),
    journal: new Journal(store, silent),
  });
  const hold = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    return resolve;
  };
  try {
    await use({ store, drives, vm, setState: (state) => store.updateVm(vm.id, { state }), hold });
  } finally {
    store.close();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

const create = (drives: Drives, name: string): Promise<unknown> =>
  drives.create({ name, sizeBytes: 64 * mebibyte }, calling);

test("a drive that is being copied or changed is nobody else's", () =>
  withWorld(async ({ drives, vm, hold }) => {
    await create(drives, "data");
    await drives.attach("data", { vm: "dev", readOnly: false });
    const works = [
      () => drives.create({ name: "copy", snapshotOf: "data" }, calling),
      () => drives.resize("data", 128 * mebibyte),
    ];
    for (const begin of works) {
      const letGo = hold();
      const working = begin();
      const refused = { code: "in_use", message: /"data" is being copied or changed/ };
      await assert.rejects(
        drives.whileStarting(vm, () => Promise.resolve()),
        refused,
      );
      assert.throws(() => drives.detach("data"), refused);
      await assert.rejects(drives.resize("data", 256 * mebibyte), refused);
      await assert.rejects(drives.create({ name: "another", snapshotOf: "data" }, calling), refused);
      letGo();
      await working;
    }
    assert.equal(await drives.whileStarting(vm, () => Promise.resolve("started")), "started");
  }));

test("while its VM starts, a drive is not touched, though the VM's state says nothing yet", () =>
  withWorld(async ({ drives, vm }) => {
    for (const name of ["data", "other"]) await create(drives, name);
    await drives.attach("data", { vm: "dev", readOnly: false });
    const started = Promise.withResolvers<void>();
    const starting = drives.whileStarting(vm, () => started.promise);
    const refused = { code: "wrong_state", message: /VM "dev" is starting/ };
    await assert.rejects(drives.create({ name: "copy", snapshotOf: "data" }, calling), refused);
    await assert.rejects(drives.resize("data", 128 * mebibyte), refused);
    await assert.rejects(drives.attach("other", { vm: "dev", readOnly: false }), refused);
    assert.throws(() => drives.detach("data"), refused);
    started.reject(new Error("it failed"));
    await assert.rejects(starting);
    assert.equal(drives.detach("data").attachment, null);
  }));

test("a VM that is started while a drive is made ready for it does not get it", () =>
  withWorld(async ({ store, drives, setState, hold }) => {
    await create(drives, "data");
    const letGo = hold();
    const attaching = drives.attach("data", { vm: "dev", readOnly: true });
    setState("running");
    letGo();
    await assert.rejects(attaching, { code: "wrong_state" });
    assert.deepEqual(store.attachmentsOf("vm_dev"), []);
    setState("stopped");
    await drives.attach("data", { vm: "dev", readOnly: true });
  }));

test("only a VM without a VMM gives or takes drives", () =>
  withWorld(async ({ drives, setState }) => {
    for (const name of ["data", "other"]) await create(drives, name);
    await drives.attach("data", { vm: "dev", readOnly: false });
    for (const state of ["starting", "running", "paused", "stopping"] as const) {
      setState(state);
      assert.throws(() => drives.detach("data"), { code: "wrong_state" }, state);
      await assert.rejects(drives.attach("other", { vm: "dev", readOnly: false }), { code: "wrong_state" }, state);
      await assert.rejects(drives.resize("data", 128 * mebibyte), { code: "wrong_state" }, state);
      await assert.rejects(drives.create({ name: "copy", snapshotOf: "data" }, calling), { code: "wrong_state" });
    }
    setState("crashed");
    assert.equal(drives.detach("data").attachment, null);
  }));

test("a VM's drives keep their order when one goes, and go free when the VM does", () =>
  withWorld(async ({ store, drives, vm }) => {
    for (const name of ["a", "b", "c", "d"]) await create(drives, name);
    for (const name of ["c", "a", "b"]) await drives.attach(name, { vm: "dev", readOnly: false });
    drives.detach("a");
    const limits = { rateLimit: { bytesPerSecond: 65_536 } };
    await drives.attach("d", { vm: "dev", mountPath: "/d", readOnly: true, ...limits });
    assert.deepEqual(
      drives.ofVm(vm.id).map(({ name, device }) => [name, device]),
      [
        ["c", "vdb"],
        ["b", "vdc"],
        ["d", "vdd"],
      ],
    );
    assert.deepEqual(drives.list().find(({ name }) => name === "d")?.attachment, {
      vmId: vm.id,
      vmName: "dev",
      mountPath: "/d",
      readOnly: true,
      rateLimit: { bytesPerSecond: 65_536, operationsPerSecond: null },
    });
    store.deleteVm(vm.id);
    assert.deepEqual(
      drives.list().map(({ attachment }) => attachment),
      [null, null, null, null],
    );
  }));
