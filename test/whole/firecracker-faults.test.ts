import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorCode, Vm } from "@workfort/contract";
import {
  assertTidy,
  eventually,
  makeDaemon,
  makeFirecrackerDouble,
  refusal,
  type FirecrackerDouble,
  type TestDaemon,
} from "@workfort/testing";

/**
 * What can be wrong with a Firecracker, one row each: the start fails with its own words and the right code, nothing is
 * left, and the same VM starts afterwards. Over the double; rows have VMs of their own and run beside one another.
 *
 * Elsewhere: a socket's path that is too long (faults.test.ts), a drive that is attached twice (drives.test.ts), and
 * more memory than VMs may have (races.test.ts), since no VMM is asked there.
 */
interface Row {
  name: string;
  /** of the double (packages/testing/src/firecracker/faults.ts); none where something else is spoiled */
  fault?: string;
  /** gives the way to mend it */
  spoil?: (about: About, vm: Vm) => Promise<() => Promise<void>>;
  says: RegExp;
  code?: ErrorCode;
}

const words = (text: string): string => encodeURIComponent(text);
const escapes = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e";
const noMemory =
  "Start microvm error: Invalid Memory Configuration: Cannot create mmap region: Cannot allocate memory (os error 12)";

const addressInUse =
  "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: Address in use (os error 98)";

const requests = [
  "GET /version",
  "PUT /metrics",
  "PUT /machine-config",
  "PUT /boot-source",
  "PUT /drives/drive0",
  "PUT /vsock",
  "PUT /entropy",
  "PUT /balloon",
  "PUT /actions",
];

const rows: Row[] = [
  // long ones first, so that the others run beside them
  {
    name: "each answer comes within its bound, all together do not",
    fault: "slow-answers:6000",
    says: /Firecracker could not be started for VM ".*": it has not been told everything within 45 s/,
  },
  ...Object.entries({ "GET /version": 10, "PUT /drives/drive0": 10, "PUT /actions": 30 }).map(([request, bound]) => ({
    name: `no answer to ${request}`,
    fault: `hang:${request}`,
    says: new RegExp(`Firecracker could not be started for VM ".*": ${request}: no answer within ${bound} s`),
  })),
  { name: "it hangs before its socket", fault: "hang:socket", says: /its API has not appeared within 10 s/ },
  {
    name: "a body shorter than is announced",
    fault: "long-length:GET /version",
    says: /GET \/version: no answer within 10 s/,
  },
  {
    name: "a body that trickles for ever",
    fault: "trickle:GET /version",
    says: /GET \/version: no answer within 10 s/,
  },

  ...["start", "socket", ...requests].map((moment) => ({
    name: `killed at ${moment}`,
    fault: `kill:${moment}`,
    says: /^Firecracker ended at once \(SIGKILL\)$/,
  })),
  {
    name: "it exits and says why",
    fault: `say:${words("2026-08-21T10:00:00.123456789 [x:main] out of luck\n")}:PUT /vsock,exit:1:PUT /vsock`,
    says: /^Firecracker ended at once \(code 1\): out of luck$/,
  },
  {
    name: "it exits by its seccomp filter",
    fault: "exit:148:PUT /actions",
    says: /^Firecracker ended at once \(code 148, a system call that its seccomp filter forbids\)$/,
  },
  {
    name: "it exits as if all were well",
    fault: "exit:0:PUT /actions",
    says: /^Firecracker ended at once \(code 0\)$/,
  },
  {
    name: "its last words are terminal escapes without end",
    fault: `say:${words(`${escapes}end of it ${"x".repeat(5000)}`)}:PUT /vsock,exit:1:PUT /vsock`,
    says: /^Firecracker ended at once \(code 1\): .*end of it x+…$/,
  },

  {
    name: "half a head",
    fault: "half:PUT /machine-config",
    says: /PUT \/machine-config: (its answer broke off|the connection was closed)$/,
  },
  { name: "a body that breaks off", fault: "cut-body:GET /version", says: /GET \/version: its answer broke off$/ },
  {
    name: "a body that is longer than announced",
    fault: "short-length:GET /version",
    says: /GET \/version: its answer is no JSON/,
  },
  { name: "a body that is no JSON", fault: "no-json:GET /version", says: /GET \/version: its answer is no JSON/ },
  { name: "JSON that says nothing", fault: "json-null:GET /version", says: /GET \/version: its answer has no version/ },
  { name: "no HTTP at all", fault: "garbage:PUT /vsock", says: /PUT \/vsock: its answer is no HTTP$/ },
  {
    name: "a head without end",
    fault: "endless-head:PUT /vsock",
    says: /PUT \/vsock: the head of its answer is over 8192 bytes$/,
  },
  { name: "a body without end", fault: "endless-body:PUT /vsock", says: /PUT \/vsock: .*over 1048576 bytes/ },

  {
    name: "memory that the host does not give",
    fault: `refuse:${words(noMemory)}:PUT /actions`,
    says: /PUT \/actions: Start microvm error: Invalid Memory Configuration: .*Cannot allocate memory \(os error 12\)$/,
  },
  {
    name: "a refusal full of terminal escapes",
    fault: `refuse:${words(`${escapes}no such luck`)}:PUT /boot-source`,
    says: /PUT \/boot-source: .*no such luck$/,
  },
  {
    name: "a refusal without end",
    fault: `refuse:${words("x".repeat(5000))}:PUT /boot-source`,
    says: /PUT \/boot-source: x{100,600}…$/,
  },
  {
    name: "a vsock socket that somebody else has",
    fault: `refuse:${words(addressInUse)}:PUT /vsock`,
    says: /PUT \/vsock: Vsock config error: .*Address in use \(os error 98\)$/,
  },
  {
    name: "a data drive has gone",
    spoil: async ({ daemon }, vm) => {
      const params = { drive: vm.name };
      const { id } = await daemon.client.call("drive.create", { body: { name: vm.name, sizeBytes: 32 * 1024 ** 2 } });
      await daemon.client.call("drive.attach", { params, body: { vm: vm.id } });
      const disk = join(daemon.locations.dataDirectory, "drives", id.slice(id.indexOf("_") + 1), "drive.ext4");
      await fs.rename(disk, `${disk}.gone`);
      return async () => {
        await fs.rename(`${disk}.gone`, disk);
        await daemon.client.call("drive.detach", { params });
      };
    },
    says: /PUT \/drives\/drive1: Drive config error: .*No such file or directory \(os error 2\) /,
  },
  {
    name: "the root drive has gone",
    spoil: async ({ daemon }, vm) => {
      const disk = join(daemon.locations.dataDirectory, "workspaces", vm.workspaceId.slice(3), "rootfs.ext4");
      await fs.rename(disk, `${disk}.gone`);
      return () => fs.rename(`${disk}.gone`, disk);
    },
    says: /PUT \/drives\/drive0: Drive config error: .*No such file or directory \(os error 2\) .*rootfs\.ext4$/,
  },
  {
    name: "the program has become another version that is known to be broken",
    fault: "version:1.16.1",
    says: /^Firecracker version 1\.16\.1 is not used: .*6100/,
    code: "vmm_unavailable",
  },
];

test(
  "whatever goes wrong while Firecracker starts is told, leaves nothing, and the VM starts afterwards",
  {
    concurrency: 4,
  },
  (context) =>
    withDouble(async (daemon, double) => {
      await daemon.importBase();
      const about = { daemon, double };
      await Promise.all([
        ...rows.map((row, index) => context.test(row.name, () => assertFails(about, row, `row-${index}`))),
        ...alike.map(({ name, prepare }, index) =>
          context.test(name, () => assertStarts(about, prepare, `alike-${index}`)),
        ),
      ]);
      await assertTidy(daemon);
    }),
);

async function assertFails(about: About, row: Row, name: string): Promise<void> {
  const { daemon, double } = about;
  const vm = await createVm(daemon, name);
  await double.setFault(row.fault ?? "", bare(vm));
  const mend = await row.spoil?.(about, vm);
  const refused = await refusal(start(daemon, vm));
  assertPlain(refused.message);
  assert.match(refused.message, row.says);
  assert.deepEqual([refused.code, refused.hint], [row.code ?? "vmm_failed", "nexusctl doctor"]);
  await assertCrashed(daemon, vm, refused.message);
  await assertNothingLeft(daemon, vm);
  await double.setFault("", bare(vm));
  await mend?.();
  await assertStartsWell(daemon, vm);
}

/** What a failed start looks like from outside, and in the history. */
async function assertCrashed(daemon: TestDaemon, vm: Vm, why: string): Promise<void> {
  const params = { vm: vm.id };
  const { state, stateReason, running, agent } = await daemon.client.call("vm.get", { params });
  assert.deepEqual([state, stateReason, running, agent], ["crashed", `could not start: ${why}`, null, "absent"]);
  const [boot] = (await daemon.client.call("vm.history", { params })).boots;
  assert.deepEqual([boot?.readyAt, boot?.endReason], [null, `could not start: ${why}`]);
}

/** what looks like a fault and is none */
const alike: { name: string; prepare: (about: About, vm: Vm) => Promise<void> }[] = [
  {
    name: "a socket's file is there before anybody listens",
    prepare: ({ double }, vm) => double.setFault("stale-socket", bare(vm)),
  },
  { name: "a socket that comes late", prepare: ({ double }, vm) => double.setFault("slow-start", bare(vm)) },
  {
    name: "sockets and files of an earlier run",
    prepare: async ({ daemon }, vm) => {
      const run = join(daemon.locations.runtimeDirectory, "vms", bare(vm));
      await fs.mkdir(join(run, "vmm"), { recursive: true });
      for (const name of ["keeper", "vmm/api", "vmm/vsock"]) await leaveSocket(join(run, name));
      await fs.writeFile(join(run, "vmm/agent"), "no socket at all");
    },
  },
];

async function assertStarts(
  about: About,
  prepare: (about: About, vm: Vm) => Promise<void>,
  name: string,
): Promise<void> {
  const vm = await createVm(about.daemon, name);
  await prepare(about, vm);
  await assertStartsWell(about.daemon, vm);
}

/** A socket's file with nobody behind it. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(`${path}-bound`, resolve);
  await promise;
  await fs.rename(`${path}-bound`, path);
  server.close();
}

const kernels: { name: string; files: Record<string, string | Buffer>; says: RegExp; code: ErrorCode }[] = [
  {
    name: "garbage",
    files: { vmlinux: "no kernel at all\n".repeat(1000) },
    says: /Invalid Elf magic/,
    code: "vmm_failed",
  },
  { name: "bzImage", files: { vmlinux: bzImage() }, says: /Invalid Elf magic/, code: "vmm_failed" },
  { name: "empty", files: { vmlinux: "" }, says: /Unable to read elf header/, code: "vmm_failed" },
  {
    name: "without modules",
    files: { vmlinux: "" },
    says: /kernel .* cannot be used: .*modules/,
    code: "kernel_missing",
  },
];

test("a kernel of the wrong kind is told in Firecracker's words, and the VM starts with a good one", () =>
  withDouble(async (daemon) => {
    await daemon.importBase();
    const vm = await createVm(daemon, "dev");
    for (const { name, files, says, code } of kernels) {
      const kernel = join(daemon.locations.dataDirectory, "kernels", `z-${name}`); // the newest
      await fs.mkdir(name === "without modules" ? kernel : join(kernel, "modules"), { recursive: true });
      for (const [file, content] of Object.entries(files)) await fs.writeFile(join(kernel, file), content);
      const refused = await refusal(start(daemon, vm));
      assert.match(refused.message, says, name);
      assert.equal(refused.code, code, name);
      await assertNothingLeft(daemon, vm);
      await fs.rm(kernel, { recursive: true });
      await assertStartsWell(daemon, vm);
    }
    await assertTidy(daemon);
  }));

/** The header of a compressed Linux, as far as anybody looks at it. */
function bzImage(): Buffer {
  const image = Buffer.alloc(64 * 1024);
  image.write("MZ", 0);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202);
  return image;
}

/** what `vmm.firecracker` may name; null where there is nothing */
const programs: { name: string; text: string | null; mode?: number; says: RegExp }[] = [
  { name: "nothing", text: null, says: /Firecracker is not installed \(looked for .*firecracker\)/ },
  {
    name: "not executable",
    text: "#!/bin/sh\nexit 0\n",
    mode: 0o644,
    says: /cannot be used: .*firecracker is no file that may be executed/,
  },
  { name: "a text", text: "just words\n", says: /Firecracker does not run: .*/ },
  { name: "another interpreter", text: "#!/nonexistent\n", says: /Firecracker does not run: .*/ },
  {
    name: "another program",
    text: "#!/bin/sh\necho QEMU emulator\n",
    says: /says "QEMU emulator", which has no version/,
  },
  { name: "silent", text: "#!/bin/sh\n", says: /says "", which has no version/ },
  { name: "escapes", text: `#!/bin/sh\nprintf '${escapes}hello'\n`, says: /says ".*hello", which has no version/ },
  { name: "dying", text: "#!/bin/sh\nkill -SEGV $$\n", says: /does not run: firecracker was ended by SIGSEGV/ },
  { name: "hanging", text: "#!/bin/sh\nexec sleep 1000\n", says: /does not run: firecracker took longer than 10 s/ },
  { name: "too old", text: version("1.13.1"), says: /version 1\.13\.1 is not supported; 1\.14\.0 and later 1\.x are/ },
  { name: "too new", text: version("2.0.0"), says: /version 2\.0\.0 is not supported/ },
  { name: "known to be broken", text: version("1.16.1"), says: /version 1\.16\.1 is not used: .*6100/ },
  {
    name: "good, but it boots nothing",
    text: `${version("1.14.0")}echo out of luck >&2\nexit 1\n`,
    says: /^no VMM can be used: Firecracker 1\.14\.0 cannot be used: .*(out of luck|\/dev\/kvm)/,
  },
];

function version(number: string): string {
  return `#!/bin/sh\n[ "$1" = --version ] && echo "Firecracker v${number}" && exit\n`;
}

test("a program that is no Firecracker, or none that can be used, is passed over, and refused where it is asked for", () =>
  withDouble(async (daemon, { program }) => {
    await daemon.importBase();
    const vm = await createVm(daemon, "dev");
    const good = await fs.readFile(program);
    await daemon.stop();
    await fs.rm(program);
    await daemon.start();
    for (const { name, text, mode = 0o755, says } of programs) {
      await fs.rm(program, { force: true });
      if (text !== null) await fs.writeFile(program, text, { mode });
      const refused = await refusal(start(daemon, vm));
      assertPlain(refused.message);
      assert.match(refused.message, says, name);
      assert.deepEqual([refused.code, refused.hint], ["vmm_unavailable", "nexusctl doctor"]);
      assert.equal((await daemon.client.call("vm.get", { params: { vm: vm.id } })).state, "created", name);
      await assertNothingLeft(daemon, vm);
    }
    const { vmm } = await daemon.client.call("system.status");
    assert.equal(vmm.kind, "qemu");
    assert.match(vmm.reason, /; Firecracker 1\.14\.0 cannot be used/);
    await fs.writeFile(program, good, { mode: 0o755 });
    await assertStartsWell(daemon, vm);
    await fs.rm(program);
    const gone = await refusal(start(daemon, vm));
    assert.equal(gone.code, "vmm_failed");
    assert.match(gone.message, /Firecracker could not be started for VM "dev": .*No such file or directory/);
    assert.match((await refusal(start(daemon, vm))).message, /Firecracker is not installed/);
    await fs.writeFile(program, good, { mode: 0o755 });
    await assertStartsWell(daemon, vm);
    await assertTidy(daemon);
  }));

interface About {
  daemon: TestDaemon;
  double: FirecrackerDouble;
}

/** A daemon whose Firecracker is the double, once that has been chosen. */
async function withDouble(use: (daemon: TestDaemon, double: FirecrackerDouble) => Promise<void>): Promise<void> {
  const daemon = await makeDaemon();
  try {
    const double = await makeFirecrackerDouble(daemon.directory);
    await daemon.configure(`api:\n  listen: off\nvmm:\n  firecracker: ${double.program}\n  confine: false\n`);
    await daemon.start();
    await eventually(
      async () => (await daemon.client.call("system.status")).vmm.kind,
      (kind) => kind === "firecracker",
    );
    await use(daemon, double);
  } finally {
    await daemon.dispose();
  }
}

const bare = (vm: Vm): string => vm.id.slice(vm.id.indexOf("_") + 1);

const createVm = (daemon: TestDaemon, name: string): Promise<Vm> =>
  daemon.client.call("vm.create", { body: { name, image: "base", memoryMiB: 128, vmm: "firecracker" } });

const start = (daemon: TestDaemon, vm: Vm): Promise<unknown> =>
  daemon.client.call("vm.start", { params: { vm: vm.id }, body: { waitForAgent: false } });

async function assertStartsWell(daemon: TestDaemon, vm: Vm): Promise<void> {
  const params = { vm: vm.id };
  await start(daemon, vm);
  assert.equal((await daemon.client.call("vm.get", { params })).state, "running");
  await daemon.client.call("vm.kill", { params });
  await assertNothingLeft(daemon, vm);
}

async function assertNothingLeft(daemon: TestDaemon, vm: Vm): Promise<void> {
  await eventually(
    async () => (await daemon.leftovers()).filter((line) => line.includes(bare(vm))),
    (left) => left.length === 0,
  );
}

/** What a VMM says reaches a person's terminal. */
function assertPlain(message: string): void {
  assert.doesNotMatch(message, /[\p{Cc}\p{Cf}]/u);
  assert.ok(message.length < 1000, `${message.length} characters`);
}
