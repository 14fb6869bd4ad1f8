import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openPolicy, wholePolicy, type Change } from "@workfort/contract";
import { AddressPool, HostServices, Interfaces, Policies, type VmRecord } from "@workfort/core";
import { MemoryNetwork, refusal } from "@workfort/testing";
import * as fc from "fast-check";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

/** The rules of the network over real records; the network itself is the port's double. */
const silent = { info: () => {}, warn: () => {}, error: () => {} };
/** the daemon's half of host services, of which only the names count here */
const relay = {
  names: [] as string[],
  set: (services: readonly { name: string }[]) => {
    relay.names = services.map(({ name }) => name);
    return Promise.resolve();
  },
  close: () => Promise.resolve(),
};
const subnets = { ipv4: "10.213.0.0/16", ipv6: "fd5f:2113:61c5::/64" };
/** 13 guests: of 16 addresses, without the subnet's own, the gateway and the last */
const small = { ...subnets, ipv4: "10.213.0.0/28" };

async function withStore(use: (store: SqliteStore, path: string) => void | Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "network-"));
  const path = join(directory, "nexus.db");
  const store = new SqliteStore(path);
  try {
    await use(store, path);
  } finally {
    store.close();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

let made = 0;
function addVm(store: SqliteStore, hasNetwork = true): VmRecord {
  made += 1;
  const name = `vm${made}`;
  const vm: VmRecord = {
    id: `vm_${String(made).padStart(12, "0")}`,
    name,
    state: "stopped",
    stateReason: "made by the test",
    cid: store.highestCid() + 1,
    vcpuCount: 1,
    memoryMiB: 64,
    vmm: "auto",
    restart: "never",
    startOnBoot: false,
    hasNetwork,
    workspaceId: `ws_${name}`,
    createdAt: 1,
    startedAt: null,
    endedAt: null,
  };
  store.insertWorkspace({ id: vm.workspaceId, name, imageId: null, createdAt: 1 });
  store.insertVm(vm);
  return vm;
}

test("a number is one VM's, kept until it is released, and given again as late as can be", (context) =>
  withStore((_, path) => {
    context.mock.timers.enable({ apis: ["Date"], now: 1 });
    let runs = 0;
    const steps = fc.array(fc.record({ takes: fc.boolean(), which: fc.nat(40) }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (all) => {
        const store = new SqliteStore(`${path}.${(runs += 1)}`);
        const pool = new AddressPool(store, small);
        const held = new Map<string, number>();
        /** as given for the first time, then as released */
        const waiting = Array.from({ length: 13 }, (_, place) => place + 2);
        for (const { takes, which } of all) {
          context.mock.timers.tick(1);
          const vmId = [...held.keys()][which % held.size];
          if (takes) {
            const { id } = addVm(store);
            const expected = waiting.shift();
            if (expected === undefined) {
              assert.throws(() => pool.numberFor(id), { code: "too_many", message: /all 13 addresses/ });
              assert.equal(pool.numberOf(id), null);
            } else {
              assert.equal(pool.numberFor(id), expected);
              held.set(id, expected);
            }
          } else if (vmId !== undefined) {
            waiting.push(held.get(vmId) ?? 0);
            held.delete(vmId);
            pool.release(vmId);
            store.deleteVm(vmId);
          }
          for (const [id, number] of held) assert.equal(pool.numberFor(id), number, "it is kept");
        }
        store.close();
      }),
      { numRuns: 40 },
    );
  }));

test("numbers survive the daemon; a number that smaller subnets do not have is changed", () =>
  withStore((store, path) => {
    const vms = Array.from({ length: 20 }, () => addVm(store));
    const pool = new AddressPool(store, subnets);
    const numbers = vms.map(({ id }) => pool.numberFor(id));
    assert.deepEqual(
      numbers,
      Array.from({ length: 20 }, (_, place) => place + 2),
    );
    assert.throws(() => store.takeAddress(2, addVm(store).id), /UNIQUE/);
    assert.throws(() => store.deleteVm(vms[0]?.id ?? ""), /FOREIGN/);
    const again = new SqliteStore(path);
    const [first, last] = [vms[0]?.id ?? "", vms[19]?.id ?? ""];
    const smaller = new AddressPool(again, small);
    assert.equal(smaller.numberFor(first), 2);
    assert.throws(() => smaller.numberFor(last), { code: "too_many" });
    assert.equal(smaller.numberOf(last), 21, "nothing is taken from it before there is another");
    smaller.release(first);
    assert.equal(smaller.numberFor(last), 2);
    again.close();
  }));

interface World {
  store: SqliteStore;
  network: MemoryNetwork;
  policies: Policies;
  interfaces: Interfaces;
  services: HostServices;
  events: Change[];
}

const withWorld = (use: (world: World) => Promise<void>): Promise<void> =>
  withStore(async (store) => {
    const network = new MemoryNetwork();
    await use({ network, ...worldOf(store, network) });
  });

function worldOf(store: SqliteStore, network: MemoryNetwork): Omit<World, "network"> {
  const changes: Change[] = [];
  const events = { publish: (change: Change) => store.afterCommit(() => void changes.push(change)) };
  const policies = new Policies({ store, events, configured: openPolicy });
  const pool = new AddressPool(store, subnets);
  const interfaces = new Interfaces({ store, network, relay, pool, policies, subnets, log: silent });
  const services = new HostServices({ store, events, policies, interfaces });
  return { store, policies, interfaces, services, events: changes };
}

test("the default policy reaches every VM without its own at once, and is another after the next change", () =>
  withWorld(async ({ store, network, interfaces, policies, events }) => {
    const [plain, own, absent] = [addVm(store), addVm(store), addVm(store)];
    await interfaces.attach(plain);
    await interfaces.setPolicy(own, { allow: ["example.com"] });
    await interfaces.attach(own);
    const modeOf = (vm: VmRecord): string | undefined => network.guests.get(vm.id)?.policy.mode;
    assert.deepEqual([modeOf(plain), modeOf(own), modeOf(absent)], ["open", "allow", undefined]);
    await interfaces.setDefaultPolicy({ mode: "none" });
    assert.deepEqual([modeOf(plain), modeOf(own), modeOf(absent)], ["none", "allow", undefined]);
    assert.deepEqual(policies.inForce(absent.id), { policy: wholePolicy({ mode: "none" }), source: "default" });
    assert.equal((await interfaces.clearPolicy(own)).source, "default");
    assert.equal(modeOf(own), "none");
    assert.deepEqual(
      events.map((change) => change.type === "network.policy_changed" && [change.vmName, change.mode, change.source]),
      [
        [own.name, "allow", "vm"],
        [null, "none", "default"],
        [own.name, "none", "default"],
      ],
    );
  }));

test("entries are added and taken out; what is not there, or not a list, is refused", () =>
  withWorld(async ({ store, network, interfaces }) => {
    const vm = addVm(store);
    await interfaces.attach(vm);
    assert.equal((await refusal(interfaces.editPolicy(vm, { allow: ["a.test"] }))).code, "wrong_state");
    await interfaces.setDefaultPolicy({ mode: "none" });
    const edited = await interfaces.editPolicy(vm, { allow: ["a.test", "b.test", "a.test"] });
    assert.deepEqual([edited.source, edited.policy.mode, edited.policy.allow], ["vm", "allow", ["a.test", "b.test"]]);
    assert.equal((await refusal(interfaces.editPolicy(vm, { deny: ["c.test"] }))).code, "not_found");
    await interfaces.editPolicy(vm, { deny: ["a.test", "b.test"] });
    const { policy } = network.guests.get(vm.id) ?? {};
    assert.deepEqual([policy?.mode, policy?.allow], ["allow", []], "a list without entries is not an open policy");
    const many = Array.from({ length: 4096 }, (_, place) => `a${place}.test`);
    await interfaces.editPolicy(vm, { allow: many });
    assert.equal((await refusal(interfaces.editPolicy(vm, { allow: ["one.more"] }))).code, "too_many");
  }));

test("a change that cannot be applied is recorded, says so, and holds after the next reconcile", () =>
  withWorld(async ({ store, network, interfaces, policies }) => {
    const vm = addVm(store);
    await interfaces.attach(vm);
    network.trouble = "the gateway is gone";
    const error = await refusal(interfaces.setPolicy(vm, { mode: "none" }));
    assert.equal(error.code, "network_unavailable");
    assert.match(error.message, /is recorded, but could not be applied.*the gateway is gone/);
    assert.equal(policies.inForce(vm.id).policy.mode, "none");
    assert.equal(network.guests.get(vm.id)?.policy.mode, "open");
    network.trouble = null;
    await interfaces.reconcile();
    assert.equal(network.guests.get(vm.id)?.policy.mode, "none");
  }));

test("a policy that changes while a VM is being attached is the one that holds", () =>
  withWorld(async ({ store, network, interfaces }) => {
    const vm = addVm(store);
    const held = Promise.withResolvers<void>();
    network.gate = held.promise;
    const attaching = interfaces.attach(vm);
    const changes = [interfaces.setPolicy(vm, { mode: "none" }), interfaces.setDefaultPolicy({ allow: ["a.test"] })];
    held.resolve();
    await Promise.all([attaching, ...changes]);
    assert.equal(network.guests.get(vm.id)?.policy.mode, "none");
    const leaving = [interfaces.detach(vm), interfaces.setPolicy(vm, { mode: "open" })];
    await Promise.all(leaving);
    assert.equal(network.guests.size, 0);
  }));

test("a network that cannot be used costs a VM its interface and not its start, and is told with what to do", () =>
  withWorld(async ({ store, network, interfaces }) => {
    const vm = addVm(store);
    network.trouble = "pasta is missing";
    const { attached, trouble } = await interfaces.attach(vm);
    assert.equal(attached, null);
    assert.match(trouble ?? "", /^it has no network: pasta is missing \(next: nexusctl network status\)$/);
    assert.equal(interfaces.of(vm)?.attached, false);
    assert.ok(interfaces.wants(vm));
    network.mode = "off";
    assert.ok(!interfaces.wants(vm));
    network.mode = "auto";
    assert.ok(!interfaces.wants(addVm(store, false)));
    assert.equal(await interfaces.counters(vm.id), null);
  }));

test("an exhausted pool costs a VM its interface, too, and no policy is for one that was made without", () =>
  withStore(async (store) => {
    const network = new MemoryNetwork();
    const { policies } = worldOf(store, network);
    const pool = new AddressPool(store, small);
    const interfaces = new Interfaces({ store, network, relay, pool, policies, subnets: small, log: silent });
    for (let count = 0; count < 13; count += 1) await interfaces.attach(addVm(store));
    assert.match((await interfaces.attach(addVm(store))).trouble ?? "", /all 13 addresses.*--no-network/);
    const without = addVm(store, false);
    assert.equal(interfaces.of(without), null);
    assert.equal((await refusal(interfaces.setPolicy(without, {}))).code, "wrong_state");
  }));

test("the next daemon tells the network of those that live, and of them alone", () =>
  withWorld(async ({ store, network, interfaces }) => {
    const [living, ended] = [addVm(store), addVm(store)];
    await interfaces.attach(living);
    await interfaces.attach(ended);
    await interfaces.setPolicy(living, { mode: "none" });
    network.told.length = 0;
    const next = worldOf(store, network).interfaces;
    await next.recover([living]);
    assert.deepEqual(network.told, ["services", "recover"]);
    assert.deepEqual([...network.guests.keys()], [living.id]);
    assert.equal(network.guests.get(living.id)?.policy.mode, "none");
    assert.equal((await next.status()).attachedCount, 1);
    const error = await refusal(next.reset());
    assert.deepEqual([error.code, error.message], ["in_use", `the network is in use by ${living.name}`]);
    await next.detach(living);
    await next.reset();
  }));

test("a host service has a name and port of its own, and leaves every policy when it goes", () =>
  withWorld(async ({ store, network, interfaces, services, policies, events }) => {
    const vm = addVm(store);
    assert.equal((await refusal(interfaces.setPolicy(vm, { services: ["models"] }))).code, "not_found");
    const made = await services.create({ name: "models", port: 8080, target: "127.0.0.1:11434" });
    assert.deepEqual([services.list(), network.services, relay.names], [[made], [made], ["models"]]);
    const again = { name: "models", port: 8081, target: "unix:/run/x" };
    assert.equal((await refusal(services.create(again))).code, "name_taken");
    for (const port of [8080, 53, 10_080, 10_443])
      assert.equal((await refusal(services.create({ ...again, name: "other", port }))).code, "in_use", String(port));
    await interfaces.attach(vm);
    await interfaces.setDefaultPolicy({ mode: "none", services: ["models"] });
    await interfaces.setPolicy(vm, { allow: ["a.test"], services: ["models"] });
    assert.deepEqual(network.guests.get(vm.id)?.policy.services, ["models"]);
    await services.delete("models");
    assert.deepEqual([policies.default().services, policies.inForce(vm.id).policy.services], [[], []]);
    assert.deepEqual([network.guests.get(vm.id)?.policy.services, network.services, relay.names], [[], [], []]);
    assert.equal((await refusal(services.delete("models"))).code, "not_found");
    assert.deepEqual(
      events.map(({ type }) => type).filter((type) => type.startsWith("service.")),
      ["service.created", "service.deleted"],
    );
  }));

test("forwards go with their VM, and so does its policy", () =>
  withStore((store) => {
    const [vm, other] = [addVm(store), addVm(store)];
    const forward = {
      id: "fwd_a",
      vmId: vm.id,
      hostAddress: "127.0.0.1",
      hostPort: 8080,
      hostSocket: null,
      guestPort: 80,
      guestSocket: null,
      createdAt: 1,
    };
    store.insertForward(forward);
    store.insertForward({ ...forward, id: "fwd_b", vmId: other.id, hostPort: null, hostSocket: "/run/x" });
    assert.deepEqual(store.listForwards(vm.id), [forward]);
    store.setNetworkPolicy(vm.id, openPolicy);
    assert.deepEqual(store.vmsWithPolicy(), [vm.id]);
    store.deleteVm(vm.id);
    assert.deepEqual(
      store.listForwards(null).map(({ id }) => id),
      ["fwd_b"],
    );
    store.deleteForward("fwd_b");
    assert.deepEqual([store.listForwards(null), store.vmsWithPolicy()], [[], []]);
  }));
