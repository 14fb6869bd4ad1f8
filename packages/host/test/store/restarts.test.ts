import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Restarts, type VmRecord } from "@workfort/core";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const vm: VmRecord = {
  id: "vm_abcdefgh2345",
  name: "dev",
  state: "crashed",
  stateReason: "made by the test",
  cid: 3,
  vcpuCount: 1,
  memoryMiB: 64,
  vmm: "auto",
  restart: "on-failure",
  startOnBoot: false,
  hasNetwork: false,
  workspaceId: "ws_abcdefgh2345",
  createdAt: 1,
  startedAt: 1,
  endedAt: 2,
};
const crash = { crashed: true, ranMs: 100 };

/** Real records; the clock is the test's. */
async function withStore(context: TestContext, use: (store: SqliteStore) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "restarts-"));
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const store = new SqliteStore(join(directory, "nexus.db"));
  store.insertWorkspace({ id: vm.workspaceId, name: vm.name, imageId: null, createdAt: 1 });
  store.insertVm(vm);
  try {
    await use(store);
  } finally {
    store.close();
    context.mock.timers.reset();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

test("the wait doubles up to a minute, and begins anew after a run that lasted", (context) =>
  withStore(context, async (store) => {
    let starts = 0;
    const restarts = new Restarts({ store, log: silent, start: () => Promise.resolve(void (starts += 1)) });
    const waits: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      restarts.noteEnd(vm, round === 7 ? { crashed: true, ranMs: 60_000 } : crash);
      const wait = (restarts.dueAt(vm.id) ?? 0) - Date.now();
      waits.push(wait);
      context.mock.timers.tick(wait - 1);
      assert.equal(starts, round);
      context.mock.timers.tick(1);
      assert.equal(starts, round + 1);
      await Promise.resolve();
    }
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 1000]);
    assert.deepEqual(store.intents(), []);
  }));

test("a start that fails is tried again; one that was given up is not", (context) =>
  withStore(context, async (store) => {
    let starts = 0;
    const start = (): Promise<void> => {
      starts += 1;
      return Promise.reject(new Error("no memory"));
    };
    const restarts = new Restarts({ store, log: silent, start });
    restarts.noteEnd(vm, crash);
    context.mock.timers.tick(1000);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    assert.equal((restarts.dueAt(vm.id) ?? 0) - Date.now(), 2000);
    assert.equal(restarts.cancel(vm.id), true);
    assert.equal(restarts.cancel(vm.id), false);
    context.mock.timers.tick(100_000);
    assert.deepEqual([starts, restarts.dueAt(vm.id), store.intents()], [1, null, []]);
  }));

test("the policy decides, and what is due is taken up by the next daemon", (context) =>
  withStore(context, async (store) => {
    const started: string[] = [];
    const start = (id: string): Promise<void> => Promise.resolve(void started.push(id));
    const first = new Restarts({ store, log: silent, start });
    first.noteEnd({ ...vm, restart: "never" }, crash);
    first.noteEnd(vm, { crashed: false, ranMs: 100 });
    assert.equal(first.dueAt(vm.id), null);
    first.noteEnd({ ...vm, restart: "always" }, { crashed: false, ranMs: 100 });
    first.close();
    context.mock.timers.tick(5000);
    assert.deepEqual(started, [], "a daemon that goes starts nothing");

    const second = new Restarts({ store, log: silent, start });
    store.insertIntent("vm.restart", { vmId: "vm_of_nobody", why: "policy" });
    second.recover();
    context.mock.timers.tick(1000);
    await Promise.resolve();
    assert.deepEqual([started, store.intents()], [[vm.id], []]);
  }));

test("after a boot of the host, and only then, what wants to be started is, though the daemon dies before it is", (context) =>
  withStore(context, async (store) => {
    const started: string[] = [];
    const start = (id: string, reason: string): Promise<void> => Promise.resolve(void started.push(`${id} ${reason}`));
    const daemonOf = (bootId: string): Restarts => {
      const restarts = new Restarts({ store, log: silent, start });
      restarts.noteHostBoot(bootId);
      restarts.recover();
      return restarts;
    };
    daemonOf("boot 1").close();
    const more = { ...vm, startOnBoot: true };
    for (const [number, state] of (["created", "stopped", "running"] as const).entries()) {
      const id = `vm_${state}`;
      store.insertWorkspace({ id: `ws_${state}`, name: state, imageId: null, createdAt: 1 });
      store.insertVm({ ...more, id, name: state, state, cid: 4 + number, workspaceId: `ws_${state}` });
    }
    daemonOf("boot 1").close();
    assert.deepEqual(store.intents(), [], "a daemon that comes back is no boot of the host");

    daemonOf("boot 2").close(); // dies before anything was started
    assert.equal(store.intents().length, 2);
    const last = daemonOf("boot 2");
    context.mock.timers.tick(1000);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    assert.deepEqual(
      started.toSorted(),
      ["vm_created", "vm_stopped"].map((id) => `${id} started since the host has booted`),
    );
    assert.deepEqual(store.intents(), []);
    last.close();
  }));

test("a restart that became due while VMs were found again is still due after another death of the daemon", (context) =>
  withStore(context, async (store) => {
    const restarts = new Restarts({ store, log: silent, start: () => Promise.resolve() });
    restarts.noteEnd(vm, crash);
    restarts.recover();
    assert.equal(store.intents().length, 1);
    restarts.close();
    await Promise.resolve();
  }));
