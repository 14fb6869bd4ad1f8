import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Vm } from "@workfort/contract";
import {
  assertTidy,
  eventually,
  makeDaemon,
  makeFirecrackerDouble,
  testEnvironment,
  type TestDaemon,
} from "@workfort/testing";

/**
 * Firecracker in a jail: a double in the jail of a double, both left to the driver as the real ones are; the real ones
 * where the tests are to be run by them.
 */
const params = { vm: "dev" };
const get = (daemon: TestDaemon): Promise<Vm> => daemon.client.call("vm.get", { params });
const sh = (daemon: TestDaemon, script: string): Promise<{ stdout: string }> =>
  daemon.client.call("vm.exec", { params, body: { argv: ["sh", "-ec", script] } });

async function withJailer(use: (daemon: TestDaemon) => Promise<void>): Promise<void> {
  const daemon = await makeDaemon();
  try {
    const program =
      testEnvironment().firecracker ?? (await makeFirecrackerDouble(daemon.directory, { jailer: true })).program;
    await daemon.configure(`api:\n  listen: off\nvmm:\n  firecracker: ${program}\n`);
    await daemon.start();
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await use(daemon);
  } finally {
    await daemon.dispose();
  }
}

const user = async (pid: number): Promise<string | undefined> =>
  /^Uid:\t(\d+)/m.exec(await fs.readFile(`/proc/${pid}/status`, "utf8"))?.[1];

test("a VM's life in a jail, with drives, and the daemon killed in between", () =>
  withJailer(async (daemon) => {
    await daemon.client.call("drive.create", { body: { name: "data", sizeBytes: 32 * 1024 ** 2 } });
    await daemon.client.call("drive.attach", { params: { drive: "data" }, body: { vm: "dev", mountPath: "/data" } });
    for (const life of [1, 2]) {
      await daemon.client.call("vm.start", { params, body: {} });
      const { running, cid, id } = await get(daemon);
      assert.deepEqual([running?.kind, running?.confinement.files], ["firecracker", "jailer"]);
      assert.equal(await user(running?.pid ?? 0), String(1_000_000_000 + cid));
      const jail = join(daemon.locations.dataDirectory, "jails/firecracker", id.replace("vm_", ""), "root");
      assert.equal((await fs.stat(join(jail, "drive1"))).size, 0, "the disks are not the host's to see there");
      await sh(daemon, `echo ${life} >> /data/lives; sync`);
      await daemon.die();
      await daemon.start();
      await eventually(
        () => get(daemon),
        ({ agent }) => agent === "ready",
      );
      assert.equal((await sh(daemon, "cat /data/lives")).stdout, life === 1 ? "1\n" : "1\n2\n");
      await daemon.client.call("vm.stop", { params, body: {} });
      await assertTidy(daemon);
    }
    // the disks are the daemon's again, under whatever VMM
    await daemon.client.call("drive.detach", { params: { drive: "data" } });
    await daemon.client.call("drive.resize", { params: { drive: "data" }, body: { sizeBytes: 64 * 1024 ** 2 } });
  }));

test("a jailed Firecracker whose keeper is killed is ended, by the daemon that lives and by the next one", () =>
  withJailer(async (daemon) => {
    const ended = (): Promise<Vm> =>
      eventually(
        () => get(daemon),
        ({ state }) => state === "crashed",
      );
    for (const daemonDies of [false, true]) {
      await daemon.client.call("vm.start", { params, body: {} });
      const pid = (await get(daemon)).running?.pid ?? 0;
      const keeper = Number(/^PPid:\t(\d+)/m.exec(await fs.readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
      if (daemonDies) await daemon.die();
      process.kill(keeper, "SIGKILL"); // of this test's own VM
      if (daemonDies) await daemon.start();
      assert.match((await ended()).stateReason, /keeper/);
      await assertTidy(daemon);
    }
  }));
