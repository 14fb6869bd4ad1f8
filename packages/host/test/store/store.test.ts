import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { BootRecord, VmRecord } from "@workfort/core";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

async function withPath(use: (path: string, directory: string) => void | Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "store-"));
  try {
    await use(join(directory, "nexus.db"), directory);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

function addVm(store: SqliteStore, name: string, cid = store.highestCid() + 1): VmRecord {
  const vm: VmRecord = {
    id: `vm_${name}`,
    name,
    state: "created",
    stateReason: "made by the test",
    cid,
    vcpuCount: 1,
    memoryMiB: 64,
    vmm: "auto",
    restart: "never",
    startOnBoot: false,
    hasNetwork: false,
    workspaceId: `ws_${name}`,
    createdAt: 1,
    startedAt: null,
    endedAt: null,
  };
  store.insertWorkspace({ id: vm.workspaceId, name, imageId: null, createdAt: 1 });
  store.insertVm(vm);
  return vm;
}

test("records survive, context ids begin at 3, and names, ids of either kind and disks have one owner", () =>
  withPath((path) => {
    const store = new SqliteStore(path);
    const first = addVm(store, "first");
    assert.equal(first.cid, 3);
    assert.throws(() => addVm(store, "first"), /UNIQUE/);
    assert.throws(() => store.insertVm({ ...first, id: "vm_other", name: "other" }), /UNIQUE/, "a disk has one VM");
    addVm(store, "second");
    assert.throws(() => addVm(store, "third", 4), /UNIQUE/);
    assert.throws(() => addVm(store, "fourth", 2), /CHECK/);
    store.close();
    const again = new SqliteStore(path);
    assert.equal(again.notice, null);
    assert.deepEqual(again.findVm("first"), first);
    assert.deepEqual(again.findVm("vm_first"), first);
    again.close();
  }));

test("a transaction that fails leaves nothing; one inside another is part of it", () =>
  withPath((path) => {
    const store = new SqliteStore(path);
    assert.throws(
      () =>
        store.transaction(() => {
          store.transaction(() => addVm(store, "inner"));
          throw new Error("no");
        }),
      /no/,
    );
    assert.deepEqual([store.listVms(), store.listWorkspaces()], [[], []]);
    store.close();
  }));

test("a VM's history is bounded, and another's is left alone", () =>
  withPath((path) => {
    const store = new SqliteStore(path);
    const [busy, calm] = [addVm(store, "busy"), addVm(store, "calm")];
    store.transaction(() => {
      store.insertStateChange({ vmId: calm.id, from: null, to: "created", reason: "made", at: 0 });
      for (let at = 1; at <= 1200; at += 1)
        store.insertStateChange({ vmId: busy.id, from: "stopped", to: "starting", reason: `${at}`, at });
      for (let number = 1; number <= 150; number += 1) store.insertBoot(boot(busy.id, number));
    });
    const changes = store.stateChanges(busy.id, 5000);
    assert.deepEqual([changes.length, changes[0]?.reason, changes.at(-1)?.reason], [1000, "1200", "201"]);
    const boots = store.boots(busy.id, 5000);
    assert.deepEqual([boots.length, boots[0]?.number, boots.at(-1)?.number], [100, 150, 51]);
    assert.equal(store.stateChanges(calm.id, 10).length, 1);
    store.deleteVm(busy.id);
    assert.deepEqual([store.stateChanges(busy.id, 10), store.boots(busy.id, 10)], [[], []]);
    store.close();
  }));

test("a file of another schema or that is no database is set aside whole, and said to be", () =>
  withPath(async (path, directory) => {
    const newer = new DatabaseSync(path);
    newer.exec("CREATE TABLE future (x); INSERT INTO future VALUES (7); PRAGMA user_version = 99;");
    newer.close();
    const store = new SqliteStore(path);
    assert.match(store.notice ?? "", /has schema 99, this version needs \d+\. Nothing was deleted/);
    addVm(store, "fresh");
    store.close();
    const aside = (await fs.readdir(directory)).find((name) => name.includes(".schema-99.")) ?? "";
    const kept = new DatabaseSync(join(directory, aside));
    assert.equal(kept.prepare("SELECT x FROM future").get()?.["x"], 7);
    kept.close();

    await fs.writeFile(path, "no database at all\n".repeat(300));
    for (const suffix of ["-wal", "-shm"]) await fs.rm(path + suffix, { force: true });
    const second = new SqliteStore(path);
    assert.match(second.notice ?? "", /is not a database/);
    assert.ok((await fs.readdir(directory)).some((name) => name.includes(".damaged.")));
    second.close();
  }));

test("the file is its owner's alone", () =>
  withPath(async (path) => {
    new SqliteStore(path).close();
    assert.equal((await fs.stat(path)).mode & 0o777, 0o600);
  }));

function boot(vmId: string, number: number): BootRecord {
  return {
    vmId,
    number,
    startedAt: number,
    readyAt: null,
    endedAt: null,
    vmm: null,
    accelerator: null,
    kernel: null,
    phases: [],
    guestBootMs: null,
    endReason: null,
    exitCode: null,
    signal: null,
    run: null,
    attached: false,
    networkTrouble: null,
  };
}

test("what is to be told is told after the outermost commit, and never of what was rolled back", () =>
  withPath((path) => {
    const store = new SqliteStore(path);
    const told: string[] = [];
    const tell = (word: string) => (): void => void told.push(`${word}, ${store.hostBoot()}`);
    store.transaction(() => {
      store.transaction(() => store.afterCommit(tell("inner")));
      store.setHostBoot("a");
      assert.deepEqual(told, []);
    });
    assert.throws(() =>
      store.transaction(() => {
        store.afterCommit(tell("lost"));
        throw new Error("rolled back");
      }),
    );
    store.afterCommit(tell("at once"));
    assert.deepEqual(told, ["inner, a", "at once, a"]);
    store.close();
  }));
