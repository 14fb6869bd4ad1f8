import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runTool } from "@workfort/host/process/run.ts";
import { assertTidy, makeDaemon, testEnvironment, type TestDaemon } from "@workfort/testing";

/**
 * The daemon dies at every step of every journalled change, is started again, and everything is done or undone.
 * The steps are found by doing each change once with a recording daemon, so that a new step cannot be forgotten.
 */
interface Change {
  name: string;
  prepare: (daemon: TestDaemon) => Promise<void>;
  change: (daemon: TestDaemon) => Promise<unknown>;
  /** whether the change is there */
  isDone: (daemon: TestDaemon) => Promise<boolean>;
  /** brings back the state before the change */
  revert: (daemon: TestDaemon) => Promise<unknown>;
}

const tinyDisk = join(testEnvironment().root, "tiny.ext4");
const nothing = (): Promise<void> => Promise.resolve();
const names = async (daemon: TestDaemon): Promise<string[]> => [
  ...(await daemon.client.call("vm.list")).vms.map((vm) => `vm ${vm.name}`),
  ...(await daemon.client.call("image.list")).images.map((image) => `image ${image.name}`),
  ...(await daemon.client.call("workspace.list")).workspaces.map((workspace) => `workspace ${workspace.name}`),
  ...(await daemon.client.call("drive.list")).drives.map(({ name, sizeBytes }) => `drive ${name}, ${sizeBytes} bytes`),
];
const has =
  (what: string) =>
  async (daemon: TestDaemon): Promise<boolean> =>
    (await names(daemon)).includes(what);
const lacks =
  (what: string) =>
  async (daemon: TestDaemon): Promise<boolean> =>
    !(await names(daemon)).includes(what);

const importTiny = (daemon: TestDaemon, name = "tiny"): Promise<unknown> =>
  daemon.client.call("image.import", { body: { name, source: tinyDisk } });
const createVm = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("vm.create", { body: { name: "dev", image: "tiny" } });
const deleteVm = (daemon: TestDaemon): Promise<unknown> => daemon.client.call("vm.delete", { params: { vm: "dev" } });
const createWorkspace = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("workspace.create", { body: { name: "work", image: "tiny" } });
const deleteWorkspace = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("workspace.delete", { params: { workspace: "work" } });
const importOther = (daemon: TestDaemon): Promise<unknown> => importTiny(daemon, "other");
const deleteOther = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("image.delete", { params: { image: "other" } });

const [smallBytes, largeBytes] = [32 * 1024 ** 2, 64 * 1024 ** 2];
const createDrive = (daemon: TestDaemon, name = "data"): Promise<unknown> =>
  daemon.client.call("drive.create", { body: { name, sizeBytes: smallBytes } });
const snapshotDrive = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("drive.create", { body: { name: "copy", snapshotOf: "data" } });
const resizeDrive = (daemon: TestDaemon): Promise<unknown> =>
  daemon.client.call("drive.resize", { params: { drive: "data" }, body: { sizeBytes: largeBytes } });
const deleteDrive = (daemon: TestDaemon, name = "data"): Promise<unknown> =>
  daemon.client.call("drive.delete", { params: { drive: name } });

const changes: Change[] = [
  { name: "vm.create", prepare: nothing, change: createVm, isDone: has("vm dev"), revert: deleteVm },
  {
    name: "vm.delete",
    prepare: async (daemon) => void (await createVm(daemon)),
    change: deleteVm,
    isDone: lacks("vm dev"),
    revert: createVm,
  },
  {
    name: "workspace.create",
    prepare: nothing,
    change: createWorkspace,
    isDone: has("workspace work"),
    revert: deleteWorkspace,
  },
  {
    name: "workspace.delete",
    prepare: async (daemon) => void (await createWorkspace(daemon)),
    change: deleteWorkspace,
    isDone: lacks("workspace work"),
    revert: createWorkspace,
  },
  { name: "image.import", prepare: nothing, change: importOther, isDone: has("image other"), revert: deleteOther },
  {
    name: "image.delete",
    prepare: async (daemon) => void (await importOther(daemon)),
    change: deleteOther,
    isDone: lacks("image other"),
    revert: importOther,
  },
  {
    name: "drive.create",
    prepare: nothing,
    change: (daemon) => createDrive(daemon),
    isDone: has(`drive data, ${smallBytes} bytes`),
    revert: (daemon) => deleteDrive(daemon),
  },
  {
    name: "drive.create as a snapshot",
    prepare: async (daemon) => void (await createDrive(daemon)),
    change: snapshotDrive,
    isDone: has(`drive copy, ${smallBytes} bytes`),
    revert: (daemon) => deleteDrive(daemon, "copy"),
  },
  {
    name: "drive.resize",
    prepare: async (daemon) => void (await createDrive(daemon)),
    change: resizeDrive,
    isDone: has(`drive data, ${largeBytes} bytes`),
    revert: async (daemon) => {
      await deleteDrive(daemon);
      await createDrive(daemon);
    },
  },
  {
    name: "drive.delete",
    prepare: async (daemon) => void (await createDrive(daemon)),
    change: (daemon) => deleteDrive(daemon),
    isDone: lacks(`drive data, ${smallBytes} bytes`),
    revert: (daemon) => createDrive(daemon),
  },
];

for (const { name, prepare, change, isDone, revert } of changes) {
  test(`${name} survives a death at every step`, async () => {
    await runTool(["mke2fs", "-q", "-F", "-t", "ext4", tinyDisk, "16M"]);
    const daemon = await makeDaemon({ withoutKernel: true });
    try {
      const steps = await recordSteps(daemon, prepare, change, revert);
      assert.ok(steps.length >= 2, `only ${steps.join(", ")} were seen`);
      for (const step of steps) {
        await daemon.start({ NEXUS_FAILPOINT: step });
        await assert.rejects(change(daemon), `at ${step} the daemon should have died`);
        await daemon.awaitEnd();
        await daemon.start();
        await assertTidy(daemon);
        if (await isDone(daemon)) await revert(daemon);
        await change(daemon);
        assert.equal(await isDone(daemon), true, `after ${step} it can be done again`);
        await assertTidy(daemon);
        await revert(daemon);
        await daemon.stop();
      }
    } finally {
      await daemon.dispose();
    }
  });
}

async function recordSteps(
  daemon: TestDaemon,
  prepare: Change["prepare"],
  change: Change["change"],
  revert: Change["revert"],
): Promise<string[]> {
  const record = join(daemon.directory, "steps");
  await daemon.start();
  await importTiny(daemon);
  await prepare(daemon);
  await daemon.stop();
  await daemon.start({ NEXUS_FAILPOINT: `record:${record}` });
  await change(daemon);
  const steps = [...new Set((await fs.readFile(record, "utf8")).trim().split("\n"))];
  await revert(daemon);
  await daemon.stop();
  return steps;
}
