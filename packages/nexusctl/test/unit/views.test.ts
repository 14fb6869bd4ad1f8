import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  Denial,
  GuestProcess,
  GuestStats,
  Drive,
  Event,
  NetworkPolicy,
  NetworkStatus,
  Status,
  Vm,
  VmHistory,
} from "@workfort/contract";
import { statusText } from "../../src/commands/status.ts";
import { painter } from "../../src/format/colour.ts";
import { attachmentText, driveDetail, driveTable } from "../../src/views/drive.ts";
import { historyText } from "../../src/views/history.ts";
import { eventLine } from "../../src/views/event.ts";
import { busyPercent, rowsOf, topText } from "../../src/views/top.ts";
import {
  countersText,
  denialLine,
  leftoverTable,
  networkLine,
  networkText,
  policyText,
  serviceTable,
} from "../../src/views/network.ts";
import { timingOf, timingText } from "../../src/views/timing.ts";
import { vmDetail, vmTable } from "../../src/views/vm.ts";

const plain = painter(false);
const now = Date.UTC(2026, 10, 23, 12, 0, 0);

const confinement = { group: "cgroup", files: "landlock", reason: "" } as const;
const vm: Vm = {
  id: "vm_abcdefgh2345",
  name: "dev",
  state: "running",
  stateReason: "its agent answered",
  agent: "ready",
  agentSince: now - 80_000,
  agentVersion: "0.1.0",
  cid: 3,
  vcpuCount: 2,
  memoryMiB: 2048,
  vmm: "auto",
  restart: "never",
  startOnBoot: false,
  restartAt: null,
  warnings: [],
  workspaceId: "ws_abcdefgh2345",
  workspaceName: "dev",
  imageName: "base",
  drives: [],
  network: null,
  running: { kind: "qemu", accelerator: "tcg", reason: "no kernel boots on /dev/kvm", pid: 4711, confinement },
  createdAt: now - 3 * 86_400_000,
  startedAt: now - 90_000,
  endedAt: null,
};

test("a list of VMs has a line for each", async () => {
  const stopped: Vm = {
    ...vm,
    name: "a-longer-name",
    state: "crashed",
    agent: "absent",
    agentSince: null,
    agentVersion: null,
    running: null,
    imageName: null,
  };
  assert.equal(
    await vmTable([vm, stopped], now, plain),
    [
      "NAME            STATE     AGENT   VCPUS   MEMORY   IMAGE    UP   AGE   ID",
      "dev             running   ready       2    2 GiB   base    90s    3d   vm_abcdefgh2345",
      "a-longer-name   crashed   -           2    2 GiB   -         -    3d   vm_abcdefgh2345",
      "",
    ].join("\n"),
  );
});

test("one VM shows its state and why, and what runs it", () => {
  const text = vmDetail({ ...vm, stateReason: "said \x1b[31mred" }, now, plain, Infinity);
  assert.match(text, /^State +running {2}said \\x1b\[31mred$/m);
  assert.match(text, /^VMM +qemu, software emulation, pid 4711$/m);
  assert.match(text, /^Agent +ready for 80s {2}0\.1\.0$/m);
  assert.doesNotMatch(text, /Ended/);
});

const drive: Drive = {
  id: "drv_abcdefgh2345",
  name: "data",
  sizeBytes: 10 * 1024 ** 3,
  source: null,
  attachment: null,
  createdAt: now - 3 * 86_400_000,
};
const attachment = { vmId: vm.id, vmName: "dev", mountPath: "/work", readOnly: true, rateLimit: null };

test("a VM's drives are under one another, each with its device", () => {
  const [data, raw] = [
    { id: drive.id, name: "data", device: "vdb", mountPath: "/my\x1bwork", readOnly: true },
    { id: drive.id, name: "raw", device: "vdc", mountPath: null, readOnly: false },
  ];
  const text = vmDetail({ ...vm, drives: [data, raw] }, now, plain, Infinity);
  assert.match(text, /^Drives +data on \/my\\x1bwork, read-only {2}vdb\n +raw {2}vdc$/m);
  assert.doesNotMatch(vmDetail(vm, now, plain, Infinity), /Drives/);
});

test("a list of drives has a line for each, one drive its VM and how it has it", async () => {
  assert.equal(
    await driveTable([drive, { ...drive, name: "refs", attachment }], now, plain),
    [
      "NAME     SIZE   VM    MOUNT   ACCESS      AGE   ID",
      "data   10 GiB   -     -       -            3d   drv_abcdefgh2345",
      "refs   10 GiB   dev   /work   read-only    3d   drv_abcdefgh2345",
      "",
    ].join("\n"),
  );
  const limited = { ...attachment, rateLimit: { bytesPerSecond: 50 * 1024 ** 2, operationsPerSecond: 1000 } };
  const detail = { ...drive, sharedBytes: 0, exclusiveBytes: 4096 };
  const text = driveDetail({ ...detail, source: "/a\x1b", attachment: limited }, now, plain);
  assert.match(text, /^Limits +50 MiB\/s, 1000 operations\/s\nSource +\/a\\x1b$/m);
  assert.doesNotMatch(driveDetail(detail, now, plain), /Mount|Access|Limits/);
  assert.equal(attachmentText(limited), "dev, on /work, read-only, at most 50 MiB/s, 1000 operations/s");
  const bare = { ...attachment, mountPath: null, readOnly: false };
  assert.equal(attachmentText(bare), "dev, as a bare device");
});

test("a history shows states, boots and their phases", async () => {
  const history: VmHistory = {
    states: [
      { from: "starting", to: "running", reason: "its agent answered", at: now - 8_000 },
      { from: "created", to: "starting", reason: "asked for", at: now - 10_000 },
      { from: null, to: "created", reason: "asked for", at: now - 20_000 },
    ],
    boots: [
      {
        number: 1,
        startedAt: now - 10_000,
        readyAt: now - 8_000,
        endedAt: null,
        vmm: "qemu",
        accelerator: "tcg",
        kernel: "6.1.0",
        phases: [
          { name: "spawn", startedAtMs: 0, durationMs: 500 },
          { name: "kernel", startedAtMs: 500, durationMs: 1500 },
        ],
        guestBootMs: null,
        endReason: null,
        exitCode: null,
        signal: null,
      },
    ],
  };
  const text = await historyText(history, now, plain);
  assert.match(text, /^WHEN +AGO +STATE +REASON$/m);
  assert.match(text, /^boot 1 {2}10s ago, ready after 2\.00 s, qemu with software emulation, kernel 6\.1\.0, runs$/m);
  assert.match(text, /^ {2}spawn +500 ms {3}█{10}$/m);
  assert.match(text, /^ {2}kernel +1\.50 s {13}█{30}$/m);
  const empty = await historyText({ states: [], boots: [] }, now, plain);
  assert.match(empty, /^WHEN/);
});

test("a history that is long ends with how much is left", async () => {
  const state = { from: null, to: "created", reason: "x", at: now } as const;
  const boot = {
    number: 1,
    startedAt: now,
    readyAt: null,
    endedAt: now + 5,
    vmm: null,
    accelerator: null,
    kernel: null,
    phases: [],
    guestBootMs: null,
    endReason: "the VMM ended",
    exitCode: null,
    signal: "SIGKILL",
  };
  const text = await historyText(
    { states: Array.from({ length: 25 }, () => state), boots: Array.from({ length: 5 }, () => boot) },
    now,
    plain,
  );
  assert.match(text, /5 older state changes and 2 older boots: --json shows them\n$/);
  assert.match(text, /its agent never answered, ended after 5 ms \(the VMM ended, VMM ended by SIGKILL\)/);
});

const networkStatus: NetworkStatus = {
  mode: "auto",
  way: "pasta",
  usable: true,
  reason: "pasta joins it to the host's network",
  hint: null,
  bridge: "nexbr0",
  ipv4Subnet: "10.213.0.0/16",
  ipv6Subnet: "fd5f:2113:61c5::/64",
  dnsServers: ["192.0.2.53"],
  gatewayPid: 4712,
  attachedCount: 1,
};

test("status is one screen", () => {
  const status: Status = {
    version: "0.1.0",
    pid: 4711,
    startedAt: now - 60_000,
    socket: "/run/nexus/nexus.sock",
    tcp: null,
    vmm: {
      kind: "qemu",
      usable: true,
      accelerator: "tcg",
      version: "7.2",
      binary: "/usr/bin/qemu",
      reason: "no KVM",
      confinement,
    },
    kernel: null,
    vmCount: 3,
    runningCount: 1,
    memory: { totalMiB: 8192, limitMiB: 7168, committedMiB: 600 },
    storage: {
      directory: "/d",
      driver: "btrfs",
      totalBytes: 2 * 1024 ** 3,
      freeBytes: 1024 ** 3,
      loopFile: null,
      imageCount: 1,
      workspaceCount: 3,
      driveCount: 0,
      unknown: [],
    },
    network: networkStatus,
    database: "/s/nexus.db",
    config: null,
    notices: ["records were set aside"],
  };
  const text = statusText(status, now, plain, Infinity);
  assert.match(text, /^Daemon +running, version 0\.1\.0, pid 4711, up 60s$/m);
  assert.match(text, /^VMM +qemu 7\.2 with software emulation\n +no KVM$/m);
  assert.match(text, /^Kernel +none: VMs cannot start$/m);
  assert.match(text, /^Network +pasta, 10\.213\.0\.0\/16, 1 VM attached$/m);
  assert.match(text, /^Storage +1 GiB of 2 GiB free, 1 image, 3 workspaces, 0 drives$/m);
  assert.match(text, /^notice: records were set aside\n$/m);
});

test("a timing compares the newest boot that became ready with all of them", async () => {
  const boot = (number: number, kernelMs: number, readyMs: number | null): VmHistory["boots"][number] => ({
    number,
    startedAt: now - 60_000,
    readyAt: readyMs === null ? null : now - 60_000 + readyMs,
    endedAt: null,
    vmm: "qemu",
    accelerator: "tcg",
    kernel: "6.1",
    phases: [
      { name: "spawn", startedAtMs: 0, durationMs: 10 },
      { name: "kernel", startedAtMs: 10, durationMs: kernelMs },
    ],
    guestBootMs: null,
    endReason: null,
    exitCode: null,
    signal: null,
  });
  const timing = timingOf({
    states: [],
    boots: [boot(4, 50, null), boot(3, 300, 310), boot(2, 100, 110), boot(1, 200, 210)],
  });
  assert.ok(timing !== null);
  assert.deepEqual([timing.boot, timing.boots, timing.readyMs, timing.p50Ms, timing.p95Ms], [3, 3, 310, 210, 310]);
  assert.deepEqual(
    timing.phases.map(({ name, durationMs, p50Ms, p95Ms }) => [name, durationMs, p50Ms, p95Ms]),
    [
      ["spawn", 10, 10, 10],
      ["kernel", 300, 200, 300],
    ],
  );
  const text = await timingText(timing, now, plain);
  assert.match(text, /^boot 3 {2}60s ago; P50 and P95 over 3 boots\nPHASE .* P50 +P95\n/);
  assert.match(text, /\nkernel +300 ms .* 200 ms +300 ms\nready +310 ms .* 210 ms +310 ms\n$/);
  assert.equal(timingOf({ states: [], boots: [boot(1, 1, null)] }), null);
});

test("an event is one line, whatever a guest has a word in", () => {
  const base = { id: "0123456789ab-1", at: now, vmId: vm.id, vmName: "dev" };
  const line = (event: object): string => eventLine({ ...base, ...event } as Event, plain).slice(21);
  const change = { type: "vm.state_changed", from: "running", to: "crashed", reason: "it\x1b said\nno" };
  assert.equal(line(change), "vm.state_changed        dev  running → crashed: it\\x1b said no\n");
  const ended = { type: "process.ended", processId: "p", exitCode: null, signal: "K\x1b", timedOut: true };
  assert.equal(line(ended), "process.ended           dev  p  signal K\\x1b, its time was up\n");
  const policy = { type: "network.policy_changed", mode: "allow", source: "vm" };
  assert.equal(line(policy), "network.policy_changed  dev  allow\n");
  assert.equal(line({ ...policy, source: "default" }), "network.policy_changed  dev  allow, the default\n");
  const byDefault = { ...policy, vmId: null, vmName: null, source: "default" };
  assert.equal(line(byDefault), "network.policy_changed  default  allow\n");
  assert.equal(line({ type: "daemon.stopping" }), "daemon.stopping\n");
  assert.equal(line({ type: "gap", reason: "forgotten" }), "gap                     older events are no longer held\n");
});

const guestProcess: GuestProcess = {
  pid: 7,
  parentPid: 1,
  user: "root",
  command: "no\x1bde",
  state: "S",
  threads: 3,
  cpuMs: 1000,
  residentBytes: 5 * 1024 ** 2,
  startedMs: 100,
};
const stats: GuestStats = {
  uptimeMs: 10_000,
  processorCount: 2,
  cpu: { userMs: 1000, niceMs: 0, systemMs: 0, idleMs: 19_000, waitMs: 0, interruptMs: 0, stealMs: 0 },
  load: [0.5, 0, 0],
  memory: {
    totalBytes: 256 * 1024 ** 2,
    freeBytes: 0,
    availableBytes: 156 * 1024 ** 2,
    cachedBytes: 0,
    swapTotalBytes: 0,
    swapFreeBytes: 0,
  },
  fileSystems: [{ device: "/dev/vda", path: "/", kind: "ext4", usage: null }],
  interfaces: [],
  processCount: 1,
  threadCount: 3,
  processes: [guestProcess],
};

test("shares of processors come from two samples of the same process, and of the same boot", () => {
  const quick = { ...guestProcess, pid: 8, cpuMs: 500 };
  const later: GuestStats = {
    ...stats,
    uptimeMs: 12_000,
    cpu: { ...stats.cpu, userMs: 3000, idleMs: 21_000 },
    processes: [
      { ...guestProcess, cpuMs: 1200 },
      { ...quick, cpuMs: 1500 },
      { ...guestProcess, pid: 9 },
    ],
  };
  const shares = (before: GuestStats | null): (number | null)[][] =>
    rowsOf(later, before).map(({ pid, cpuPercent }) => [pid, cpuPercent]);
  assert.deepEqual(shares({ ...stats, processes: [guestProcess, quick] }), [
    [8, 50],
    [7, 10],
    [9, null],
  ]);
  const another = { ...stats, processes: [{ ...guestProcess, startedMs: 7 }] };
  assert.ok(shares(another).every(([, share]) => share === null));
  assert.ok(shares(null).every(([, share]) => share === null));
  assert.ok(shares({ ...stats, uptimeMs: 99_999 }).every(([, share]) => share === null));
  assert.deepEqual([busyPercent(later, stats), busyPercent(later, null), busyPercent(stats, later)], [50, null, null]);
});

test("a table of processes keeps to the terminal, and shows no control character of the guest", async () => {
  const many = { ...stats, processes: Array.from({ length: 100 }, (_, at) => ({ ...guestProcess, pid: at + 1 })) };
  for (const columns of [40, 80, 200]) {
    const lines = (await topText(many, stats, plain, { lines: 24, columns })).trimEnd().split("\n");
    assert.ok(lines.length <= 24, String(lines.length));
    assert.ok(
      lines.every((line) => line.length <= columns),
      lines.join("\n"),
    );
    assert.ok(!lines.join("").includes("\x1b"));
  }
  const whole = await topText(stats, null, plain, { lines: Infinity, columns: Infinity });
  assert.match(whole, /^Memory +100 MiB of 256 MiB\nDisks +\/: does not answer\nProcesses +1, 3 threads$/m);
  assert.match(whole, /^ *7 +1 +root +S +- +1\.00 s +5 MiB +3 +no\\x1bde$/m);
});

test("the network says whether it can be used, and if not, why and what is next", () => {
  const broken: NetworkStatus = {
    ...networkStatus,
    usable: false,
    way: null,
    reason: "pasta \x1b is missing",
    hint: "do",
  };
  assert.match(
    networkText(networkStatus, plain),
    /^Network +can be used\nWhy +pasta joins it.*\nMode +auto, by pasta$/m,
  );
  assert.match(networkText(broken, plain), /^Network +none\nWhy +pasta \\x1b is missing\nNext +do\nMode +auto$/m);
  assert.equal(networkLine(broken, plain), "cannot be used: VMs start without one");
  assert.equal(networkLine({ ...broken, mode: "off" }, plain), "off");
});

test("a policy is its mode and its entries, a VM's interface its addresses and whose policy it has", () => {
  const policy: NetworkPolicy = {
    mode: "allow",
    allow: ["preset:npm", "203.0.113.0/24"],
    encryptedClientHello: "refuse",
    services: ["models", "mirror"],
    sendBytesPerSecond: 10 * 1024 ** 2,
    receiveBytesPerSecond: null,
  };
  assert.equal(
    policyText(policy, "vm", plain),
    [
      "Policy            allow: only what is listed  its own",
      "Allow             preset:npm",
      "                  203.0.113.0/24",
      "Encrypted hello   refused",
      "Services          models, mirror",
      "Limits            sends at most 10 MiB/s",
      "",
    ].join("\n"),
  );
  const open: NetworkPolicy = { ...policy, mode: "open", allow: [], services: [], encryptedClientHello: "accept" };
  const unlimited = policyText({ ...open, sendBytesPerSecond: null }, null, plain);
  assert.equal(unlimited, "Policy   open: the internet, without private ranges\n");
  const network = {
    macAddress: "02:5a:1f:00:9c:3e",
    ipv4: "10.213.0.2",
    ipv6: "fd5f:2113:61c5::2",
    tap: "tapabcdefgh2345",
    attached: true,
    policyMode: "open",
    policySource: "default",
  } as const;
  const detail = (one: Vm["network"]): string => vmDetail({ ...vm, network: one }, now, plain, Infinity);
  assert.match(detail(network), /^Network +10\.213\.0\.2, fd5f:2113:61c5::2, policy open \(the default\)$/m);
  assert.match(
    detail({ ...network, attached: false, policySource: "vm" }),
    /policy open \(its own\) {2}not attached$/m,
  );
  assert.match(detail(null), /^Network +none$/m);
});

test("a denial is one line, whatever name a guest asked for", () => {
  const denial: Denial = {
    number: 7,
    at: now,
    vmId: vm.id,
    vmName: "dev",
    kind: "dns",
    name: "a\x1b.test",
    address: null,
    port: null,
    protocol: null,
    reason: "no entry names it",
    count: 1,
  };
  const line = (one: Partial<Denial>): string => denialLine({ ...denial, ...one }, plain).slice(21);
  assert.equal(line({}), "dev  dns     a\\x1b.test  no entry names it\n");
  const packet = { kind: "packet", name: null, address: "2001:db8::1", port: 22, protocol: "tcp", count: 3 } as const;
  assert.equal(line(packet), "dev  packet  [2001:db8::1]:22/tcp  no entry names it  ×3\n");
  assert.equal(
    line({ ...packet, name: "b.test", address: "203.0.113.7", count: 1 }),
    "dev  packet  b.test at 203.0.113.7:22/tcp  no entry names it\n",
  );
  assert.equal(line({ kind: "spoof", name: null, protocol: "other" }), "dev  spoof   /other  no entry names it\n");
});

test("services, leftovers and counters", async () => {
  const service = { name: "models", port: 11_434, target: "unix:/run/\x1b", createdAt: now - 60_000 };
  assert.equal(
    await serviceTable([service], now, plain),
    "NAME     IN THE GUEST                     LEADS TO         AGE\n" +
      "models   models.workfort.internal:11434   unix:/run/\\x1b   60s\n",
  );
  const leftover = { kind: "tap", name: "tapx", detail: "of no VM", removed: false } as const;
  assert.equal(
    await leftoverTable([leftover], plain),
    "KIND   NAME   REMOVED   DETAIL\ntap    tapx   no        of no VM\n",
  );
  const counters = { sentBytes: 2048, sentPackets: 2, receivedBytes: 0, receivedPackets: 0, deniedPackets: 1 };
  assert.equal(
    countersText(counters, plain),
    "Sent       2 KiB in 2 packets\nReceived   0 B in 0 packets\nDenied     1 packet or name\n",
  );
});
