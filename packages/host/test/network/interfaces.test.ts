import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import type { AttachedNetwork, VmmDriver, VmSpec } from "@workfort/core";
import { eventually, makeFirecrackerDouble, nativePrograms, node, refusal, testEnvironment } from "@workfort/testing";
import { Confinement } from "../../src/confinement/confinement.ts";
import { http2Guests } from "../../src/guest/link.ts";
import { KernelDirectory } from "../../src/kernels/kernel-directory.ts";
import { pathsOf } from "../../src/paths.ts";
import { FirecrackerDriver } from "../../src/vmm/firecracker/driver.ts";
import { QemuDriver } from "../../src/vmm/qemu/driver.ts";
import { original } from "../vmm/firecracker-program.ts";
import { TestNamespace } from "./test-namespace.ts";

/**
 * A VM with an interface, under each VMM: its tap lies in a network namespace that is not the daemon's. In the
 * lab it is Firecracker itself (firecracker-program.ts).
 */
const kinds =
  original === undefined ? (["qemu", "firecracker", "jailed"] as const) : (["firecracker", "jailed"] as const);
const macAddress = "02:5a:1f:00:9c:3e";
const tap = "tapabcdefghijk2";
const signal = AbortSignal.timeout(300_000);

interface Bench {
  driver: VmmDriver;
  spec: VmSpec;
  namespace: TestNamespace;
}

async function bench(t: TestContext, kind: "qemu" | "firecracker" | "jailed"): Promise<Bench> {
  const { root, kernelDirectory, rootfsImage } = testEnvironment();
  const directory = await fs.mkdtemp(join(root, "net"));
  t.after(async () => await fs.rm(directory, { recursive: true, force: true }));
  await fs.mkdir(join(directory, "kernels"));
  await fs.symlink(kernelDirectory, join(directory, "kernels", "test"));
  const kernels = new KernelDirectory(join(directory, "kernels"), join(nativePrograms, "guest-agent"));
  const keeperProgram = join(nativePrograms, "keeper");
  const needs = {
    paths: pathsOf({
      instance: "nexus",
      configFile: "",
      dataDirectory: directory,
      stateDirectory: directory,
      runtimeDirectory: directory,
      cacheDirectory: directory,
      socket: "",
    }),
    keeperProgram,
    // a double needs the checkout
    confinement: new Confinement({ keeperProgram, files: kind !== "firecracker" }),
    kernels,
    hostBootId: "test",
  };
  const double = join(directory, "double");
  await fs.mkdir(double);
  const driver =
    kind === "qemu"
      ? new QemuDriver({ ...needs, configuredBinary: null })
      : new FirecrackerDriver({
          ...needs,
          configuredBinary: await firecrackerIn(double, kind === "jailed"),
        });
  const disk = join(directory, "disk");
  await fs.copyFile(rootfsImage, disk, fs.constants.COPYFILE_FICLONE);
  const namespace = await TestNamespace.make(t);
  await namespace.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap", "user", "0", "vnet_hdr"]);
  await namespace.run(["ip", "link", "set", tap, "up"]);
  const network: AttachedNetwork = {
    tap,
    macAddress,
    bootArguments: ["workfort.test=1"],
    namespaces: { network: namespace.path, user: null },
  };
  const spec: VmSpec = {
    id: "vm_abcdefghijk2",
    name: "dev",
    cid: 7,
    vcpuCount: 1,
    memoryMiB: 192,
    kernel: await kernels.current(),
    drives: [{ id: "ws_abcdefghijk2", path: disk, readOnly: false, rateLimit: null }],
    mounts: [],
    network,
    directory: join(directory, basename(directory)), // whose name its control group has
  };
  return { driver, spec, namespace };
}

async function firecrackerIn(directory: string, isJailed: boolean): Promise<string> {
  if (original === undefined) return (await makeFirecrackerDouble(directory, { jailer: isJailed })).program;
  for (const program of isJailed ? [original, join(dirname(original), "jailer")] : [original])
    await fs.copyFile(program, join(directory, basename(program)));
  return join(directory, basename(original));
}

const hooks = { onStep: () => {}, signal };

for (const kind of kinds)
  test(`${kind}: the guest has the interface, and the VMM its tap`, async (t) => {
    const { driver, spec, namespace } = await bench(t, kind);
    const run = await driver.start(spec, hooks);
    const link = http2Guests.connect(
      (until) => run.openChannel(until),
      () => {},
    );
    try {
      await link.ready(signal);
      assert.equal(await fs.readlink(`/proc/${run.facts.vmmPid}/ns/net`), await fs.readlink(namespace.path));
      assert.match(await namespace.run(["ip", "-o", "link", "show", tap]), /[,<]LOWER_UP[,>]/);
      const read = async (path: string): Promise<string> => {
        const { status, body } = await link.request({ method: "GET", path: `/v1/files/content?path=${path}` });
        const text = Buffer.concat(await body.toArray()).toString();
        assert.equal(status, 200, text);
        return text.trim();
      };
      assert.match(await read("/proc/cmdline"), / workfort\.test=1( |$)/);
      assert.equal(await read("/sys/class/net/eth0/address"), macAddress);
    } finally {
      link.close();
      await run.signal("SIGKILL");
      await run.waitForEnd(signal);
      await run.release();
    }
    // it stays for the next start, and nobody holds it
    await eventually(
      () => namespace.run(["ip", "-o", "link", "show", tap]),
      (line) => line.includes("NO-CARRIER"),
    );
  });

for (const kind of kinds)
  test(`${kind}: a tap that another process has is told in the VMM's words, and nothing is left`, async (t) => {
    const { driver, spec, namespace } = await bench(t, kind);
    const holder = spawn(...split([...namespace.enter, node, join(import.meta.dirname, "fixtures/hold-tap.ts"), tap]), {
      stdio: ["ignore", "ignore", "inherit"],
    });
    try {
      await eventually(
        () => namespace.run(["ip", "-o", "link", "show", tap]),
        (line) => line.includes("LOWER_UP"),
      );
      const { code, message } = await refusal(driver.start(spec, hooks));
      assert.equal(code, "vmm_failed");
      assert.match(message, kind === "jailed" ? /resource busy/i : kind === "qemu" ? /busy/i : firecrackersWords);
      await assert.rejects(fs.stat(spec.directory), { code: "ENOENT" });
    } finally {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
    const run = await driver.start(spec, hooks);
    await run.signal("SIGKILL");
    await run.waitForEnd(signal);
    await run.release();
  });

const firecrackersWords =
  /PUT \/network-interfaces\/eth0: Network config error: Could not create the network device: Open tap device failed: Error while creating ifreq structure: Resource busy \(os error 16\)\. Invalid TUN\/TAP Backend provided by tapabcdefghijk2\./;

function split([program = "", ...words]: string[]): [string, string[]] {
  return [program, words];
}
