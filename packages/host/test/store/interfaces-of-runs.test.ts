import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openPolicy } from "@workfort/contract";
import {
  AddressPool,
  Interfaces,
  Policies,
  Supervisor,
  type GuestConnector,
  type RunFacts,
  type VmmDriver,
  type VmmEnd,
  type VmmRun,
  type VmRecord,
  type VmSpec,
} from "@workfort/core";
import { MemoryNetwork, refusal } from "@workfort/testing";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

/**
 * When a VM's interface comes and goes beside its VMM, over real records. VMM, guest and network are doubles that end
 * or fail when the test says so; the same with real ones is in test/whole.
 */
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const events = { publish: () => {} };
const subnets = { ipv4: "10.213.0.0/16", ipv6: "fd5f:2113:61c5::/64" };
const facts: RunFacts = {
  hostBootId: "boot",
  directory: "/run",
  keeperPid: 1,
  vmmPid: 2,
  vmmStartTime: 3,
  committedMiB: 64,
  vmm: {
    kind: "qemu",
    accelerator: "tcg",
    reason: "",
    pid: 2,
    confinement: { group: "none", files: "none", reason: "" },
  },
};

const guests: GuestConnector = {
  connect: () => ({
    state: "connecting",
    trouble: null,
    ready: () => new Promise(() => {}),
    request: () => Promise.reject(new Error("no line")),
    expectSilence: () => {},
    close: () => {},
  }),
};

class Machine {
  readonly network = new MemoryNetwork();
  /** what happened, in order */
  readonly told: string[] = [];
  specs: VmSpec[] = [];
  /** ends the run */
  end: (end: VmmEnd) => void = () => {};
  startFails = false;
  lives = true;

  readonly driver: VmmDriver = {
    kind: "qemu",
    status: () => Promise.reject(new Error("not asked")),
    overheadMiB: () => Promise.resolve(0),
    start: (spec) => {
      this.specs.push(spec);
      this.note("start");
      return this.startFails ? Promise.reject(new Error("no VMM")) : Promise.resolve(this.#run());
    },
    adopt: () => Promise.resolve(this.lives ? this.#run() : null),
  };

  note(what: string): void {
    this.told.push(`${what}, ${this.network.guests.size} attached`);
  }

  #run(): VmmRun {
    const ended = Promise.withResolvers<VmmEnd>();
    this.end = ended.resolve;
    return {
      facts,
      waitForEnd: () => ended.promise,
      openChannel: () => new Promise(() => {}),
      signal: () => Promise.resolve(ended.resolve(endOf("SIGKILL"))),
      pressCtrlAltDel: () => Promise.resolve(),
      pause: () => Promise.resolve(),
      resume: () => Promise.resolve(),
      isPaused: () => Promise.resolve(false),
      guestBootMs: () => Promise.resolve(null),
      metrics: () => Promise.reject(new Error("not asked")),
      console: () => Promise.resolve(Buffer.alloc(0)),
      followConsole: async function* () {},
      release: () => Promise.resolve(this.note("release")),
    };
  }
}

function endOf(signal: string): VmmEnd {
  return { exitCode: null, signal, lastWords: "", meaning: null, endedAt: Date.now() };
}

interface World {
  machine: Machine;
  store: SqliteStore;
  vm: VmRecord;
  supervisor: Supervisor;
  interfaces: Interfaces;
  /** the next daemon on the same records */
  again: () => Supervisor;
}

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "interfaces-"));
  const store = new SqliteStore(join(directory, "nexus.db"));
  const machine = new Machine();
  const vm: VmRecord = {
    id: "vm_abcdefgh2345",
    name: "dev",
    state: "created",
    stateReason: "made by the test",
    cid: 3,
    vcpuCount: 1,
    memoryMiB: 64,
    vmm: "auto",
    restart: "never",
    startOnBoot: false,
    hasNetwork: true,
    workspaceId: "ws_abcdefgh2345",
    createdAt: 1,
    startedAt: null,
    endedAt: null,
  };
  store.insertWorkspace({ id: vm.workspaceId, name: vm.name, imageId: null, createdAt: 1 });
  store.insertVm(vm);
  const made = (): { supervisor: Supervisor; interfaces: Interfaces } => {
    const policies = new Policies({ store, events, configured: openPolicy });
    const relay = { set: () => Promise.resolve(), close: () => Promise.resolve() };
    const pool = new AddressPool(store, subnets);
    const interfaces = new Interfaces({
      store,
      network: machine.network,
      relay,
      pool,
      policies,
      subnets,
      log: silent,
    });
    const supervisor = new Supervisor({
      store,
      events,
      guests,
      interfaces,
      log: silent,
      memoryLimitMiB: 1024,
      storage: { diskPath: () => "/disk" } as never,
      vmms: {
        choose: () =>
          Promise.resolve({ driver: machine.driver, status: { kind: "qemu", accelerator: "tcg" } as never }),
        driver: () => machine.driver,
      },
      kernels: { current: () => Promise.resolve({ version: "6.1", vmlinux: "/k", initramfs: "/i" }) },
      consoles: {
        save: () => Promise.resolve(),
        read: () => Promise.resolve(Buffer.alloc(0)),
        delete: () => Promise.resolve(),
      },
      host: { totalMemoryMiB: 1024, bootId: "boot" },
      runDirectory: () => "/run",
      onEnd: () => {},
    });
    return { supervisor, interfaces };
  };
  try {
    await use({ machine, store, vm, ...made(), again: () => made().supervisor });
  } finally {
    store.close();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

async function turnsUntil(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

const request = { waitForAgent: false, timeoutMs: 0 };
const options = { onProgress: () => {}, reason: "asked" };

test("an interface is there before the VMM and gone after it", () =>
  withWorld(async ({ machine, store, vm, supervisor, interfaces }) => {
    await supervisor.start(vm.id, request, options);
    assert.equal(machine.specs[0]?.network?.tap, "tapabcdefgh2345");
    assert.deepEqual([interfaces.of(vm)?.attached, supervisor.liveFacts(vm).warnings], [true, []]);
    const boot = store.boots(vm.id, 1)[0];
    assert.deepEqual([boot?.attached, boot?.networkTrouble, boot?.phases[0]?.name], [true, null, "network"]);
    await supervisor.kill(vm.id);
    assert.deepEqual(machine.told, ["start, 1 attached", "release, 1 attached"]);
    assert.deepEqual([machine.network.guests.size, interfaces.of(vm)?.attached], [0, false]);
  }));

test("a VM that ends by itself can start again once its old interface is gone", () =>
  withWorld(async ({ machine, vm, supervisor }) => {
    await supervisor.start(vm.id, request, options);
    const held = Promise.withResolvers<void>();
    machine.network.gate = held.promise;
    machine.end(endOf("SIGSEGV"));
    await turnsUntil(() => machine.network.told.includes("detach"));
    const started = supervisor.start(vm.id, request, options);
    held.resolve();
    await started;
    assert.equal(machine.network.guests.size, 1);
    assert.deepEqual(machine.network.told, ["attach dev", "detach", "attach dev"]);
    await supervisor.kill(vm.id);
  }));

test("a start that fails, and one without a network, leave no interface", () =>
  withWorld(async ({ machine, store, vm, supervisor }) => {
    machine.startFails = true;
    await assert.rejects(supervisor.start(vm.id, request, options), /no VMM/);
    assert.equal(machine.network.guests.size, 0);
    machine.startFails = false;
    machine.network.trouble = "nft is missing";
    await supervisor.start(vm.id, request, options);
    assert.equal(machine.specs[1]?.network, null);
    const [warning] = supervisor.liveFacts(vm).warnings;
    assert.match(warning ?? "", /^it has no network: nft is missing \(next: nexusctl network status\)$/);
    assert.deepEqual([store.boots(vm.id, 1)[0]?.attached, store.boots(vm.id, 1)[0]?.networkTrouble], [false, warning]);
  }));

test("a start that is killed while its interface is made leaves none", () =>
  withWorld(async ({ machine, store, vm, supervisor }) => {
    const held = Promise.withResolvers<void>();
    machine.network.gate = held.promise;
    const starting = refusal(supervisor.start(vm.id, request, options));
    await turnsUntil(() => machine.network.told.includes("attach dev"));
    const killing = supervisor.kill(vm.id);
    held.resolve();
    assert.equal((await starting).code, "wrong_state");
    await killing;
    assert.deepEqual([machine.specs, machine.network.guests.size], [[], 0]);
    assert.equal(store.findVm(vm.id)?.state, "stopped");
  }));

test("the next daemon tells the network of a VM that lives and has an interface, and of no other", () =>
  withWorld(async ({ machine, vm, supervisor, again }) => {
    await supervisor.start(vm.id, request, options);
    supervisor.detach();
    machine.network.guests.clear();
    const next = again();
    await next.recover();
    assert.equal(machine.network.guests.size, 1);
    next.detach();
    machine.lives = false;
    await again().recover();
    assert.equal(machine.network.guests.size, 0);

    machine.lives = true;
    machine.network.trouble = "nft is missing";
    const third = again();
    await third.start(vm.id, request, options);
    third.detach();
    machine.network.trouble = null;
    const last = again();
    await last.recover();
    assert.equal(machine.network.guests.size, 0, "its VMM has no interface");
    assert.match(last.liveFacts(vm).warnings[0] ?? "", /it has no network: nft is missing/);
  }));
