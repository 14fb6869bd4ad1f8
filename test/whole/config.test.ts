import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkout, makeDaemon, node, type TestDaemon } from "@workfort/testing";

/** What nexusd makes of nexus.yaml. */

/** Runs nexusd with this configuration, which is to end it with code 1, and gives what it says. */
async function complaintOf(daemon: TestDaemon, config: string): Promise<string> {
  await fs.writeFile(daemon.locations.configFile, config);
  const before = await fs.readFile(join(daemon.directory, "log"), "utf8").catch(() => "");
  assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null }, config);
  return daemon.log.slice(before.length).replaceAll(daemon.locations.configFile, "FILE");
}

/** a daemon whose configuration is to be refused; nothing of it runs when the test is over */
async function withRefusedDaemon(use: (daemon: TestDaemon) => Promise<void>): Promise<void> {
  const daemon = await makeDaemon();
  const good = await fs.readFile(daemon.locations.configFile);
  try {
    await use(daemon);
  } finally {
    await fs.rm(daemon.locations.configFile, { recursive: true, force: true });
    await fs.writeFile(daemon.locations.configFile, good);
    await daemon.dispose();
  }
}

const refusedListen = [
  "9600",
  "on",
  "''",
  "localhost",
  "127.0.0.1",
  ":9600",
  "127.0.0.1:65536",
  "127.0.0.256:9600",
  "::1:9600",
  "'[::g]:9600'",
  "example.org:9600",
  "http://127.0.0.1:9600",
  "[127.0.0.1:9600]",
];
const refusedMemory = ["63", "1048577", "512M", "64.5", "~", "[512]", "'512'"];
const refusedPath = ["relative", "~/disks", "''", "5", "[/a]"];
const refused: [heading: string, key: string, values: string[], allowed: string][] = [
  ["api", "listen", refusedListen, "must be off, or address:port such as 127.0.0.1:9600"],
  ["storage", "directory", refusedPath, "must be an absolute path"],
  ["vm", "memoryMiB", refusedMemory, "must be a whole number of MiB from 64 to 1048576"],
  ["vmm", "default", ["kvm", "1", "QEMU"], "must be auto, firecracker or qemu"],
  [
    "network",
    "ipv4Subnet",
    ["10.0.0.0/8", "10.213.1.0/16", "8.8.0.0/16", "10.213.0.0", "fd00::/64", "5", "~", "10.0.0.0/29"],
    "must be a private IPv4 subnet from /16 to /28 with nothing behind its prefix, such as 10.213.0.0/16",
  ],
  ["memory", "limitMiB", ["-1", "67108865", "all", "0.5"], "must be a whole number of MiB from 0 to 67108864"],
  ["log", "level", ["verbose", "3", "INFO"], "must be debug, info, warn or error"],
];

test("every value that cannot be used is named with file, line and key, and what is allowed", () =>
  withRefusedDaemon(async (daemon) => {
    for (let round = 0; round < refusedListen.length; round += 1) {
      const value = (values: string[]): string => values[round % values.length] ?? "";
      const config = refused.map(
        ([heading, key, values]) => `# about ${key}\n${heading}:\n  ${key}: ${value(values)}\n`,
      );
      const said = await complaintOf(daemon, config.join(""));
      assert.deepEqual(
        said
          .replace(/^nexusd: /, "")
          .trimEnd()
          .split("\n"),
        refused.map(([heading, key, , allowed], index) => `FILE:${3 * index + 3}: ${heading}.${key}: ${allowed}`),
        config.join(""),
      );
    }
  }));

test("keys beside one another, unknown keys and headings", () =>
  withRefusedDaemon(async (daemon) => {
    const config = "vm:\n  vcpuCount: 33\n  memory: 512\nlogs: {}\nvmm: {qemu: qemu, default: auto}\napi: 5\n";
    assert.deepEqual(
      (await complaintOf(daemon, config))
        .replace(/^nexusd: /, "")
        .trimEnd()
        .split("\n")
        .toSorted(),
      [
        "FILE:2: vm.vcpuCount: must be a whole number from 1 to 32",
        "FILE:3: vm.memory: there is no such key",
        "FILE:4: logs: there is no such key",
        "FILE:5: vmm.qemu: must be an absolute path",
        "FILE:6: api: must be a map of keys",
      ],
    );
  }));

test("the network's keys", () =>
  withRefusedDaemon(async (daemon) => {
    const config = [
      "network:",
      "  mode: nat",
      "  ipv6Subnet: fd00::1/64",
      "  dns: [192.0.2.53, localhost:53]",
      "  policy:",
      "    mode: none",
      "    allow: [example.com]",
      "    sendBytesPerSecond: 10M",
      "  subnet: 10.0.0.0/16",
    ];
    assert.deepEqual(
      (await complaintOf(daemon, config.join("\n")))
        .replace(/^nexusd: /, "")
        .trimEnd()
        .split("\n")
        .toSorted(),
      [
        "FILE:2: network.mode: must be auto, root, pasta, helper or off",
        "FILE:3: network.ipv6Subnet: must be a unique local IPv6 subnet of /64 with nothing behind its prefix, such as fd5f:2113:61c5::/64",
        "FILE:4: network.dns.1: must be an IP address, or address:port such as 192.0.2.53:53 or [2001:db8::53]:53",
        "FILE:8: network.policy.sendBytesPerSecond: must be a whole number of bytes per second from 8192 to 1099511627776",
        "FILE:9: network.subnet: there is no such key",
      ],
    );
    const entries = "network: {mode: off, policy: {mode: none, allow: [example.com]}}\n";
    assert.equal(
      await complaintOf(daemon, entries),
      "nexusd: FILE:1: network.policy.allow: must be left out, or `mode` be allow\n",
    );
  }));

test("what is not YAML, or not a configuration, is shown with its line", () =>
  withRefusedDaemon(async (daemon) => {
    const cases: [config: string, complaint: RegExp][] = [
      ["api:\n\tlisten: off\n", /^nexusd: FILE:2: .*[Tt]ab/],
      ["vm: {vcpuCount: 1\n", /^nexusd: FILE:\d+: /],
      ["log:\n  level: 'info\n", /^nexusd: FILE:\d+: /],
      ["vm:\n  vcpuCount: 1\n  vcpuCount: 2\n", /^nexusd: FILE:3: .*unique/],
      ["vm: {}\n---\nvm: {}\n", /^nexusd: FILE:2: /],
      ["- vm\n", /^nexusd: FILE:1: the file: must be a map of keys\n$/],
      ["just text\n", /^nexusd: FILE:1: the file: must be a map of keys\n$/],
      ["__proto__:\n  vm: 1\n", /^nexusd: FILE:1: __proto__: there is no such key\n$/],
      ["\u0000", /^nexusd: FILE:1: /],
      ["vm: *nowhere\n", /^nexusd: FILE: .*alias.*nowhere/i],
      ["vm: !!binary aGVsbG8=\n", /^nexusd: FILE:1: vm: must be /],
    ];
    for (const [config, complaint] of cases) {
      const said = await complaintOf(daemon, config);
      assert.match(said, complaint, JSON.stringify(config));
      assert.equal(said.split("\n").length, 2, said);
    }
  }));

test("a file that cannot be read is not passed over", () =>
  withRefusedDaemon(async (daemon) => {
    const { configFile } = daemon.locations;
    await fs.rm(configFile);
    await fs.mkdir(configFile);
    assert.deepEqual(await daemon.startUntilEnd(), { code: 1, signal: null });
    assert.equal(
      daemon.log.replaceAll(configFile, "FILE"),
      "nexusd: FILE: cannot be read: EISDIR: illegal operation on a directory, read\n",
    );
  }));

test("a file that is named has to be there", () =>
  withRefusedDaemon(async (daemon) => {
    const missing = join(daemon.directory, "missing.yaml");
    const { status, stderr } = spawnSync(node, [join(checkout, "packages/nexusd/src/main.ts"), "--config", missing], {
      env: daemon.env,
      encoding: "utf8",
    });
    assert.deepEqual([status, stderr], [1, `nexusd: ${missing}: there is no such file\n`]);
  }));

test("without a file, and with an empty one, everything has its default", async () => {
  const daemon = await makeDaemon();
  const { configFile, dataDirectory } = daemon.locations;
  try {
    for (const config of [null, "", "# nothing\n", "api:\nvm:\n  # vcpuCount: 2\n"]) {
      await (config === null ? fs.rm(configFile) : fs.writeFile(configFile, config));
      await daemon.start();
      const status = await daemon.client.call("system.status");
      assert.equal(status.config, config === null ? null : configFile);
      assert.match(status.tcp ?? "", /^127\.0\.0\.1:96\d\d$/);
      assert.equal(status.storage.directory, dataDirectory);
      const { totalMiB, limitMiB } = status.memory;
      assert.ok(limitMiB < totalMiB && limitMiB > totalMiB / 2, `${limitMiB} of ${totalMiB}`);
      assert.equal(await daemon.stop(), 0);
    }
    await daemon.start();
    await daemon.importBase();
    const vm = await daemon.client.call("vm.create", { body: { name: "dev", image: "base" } });
    assert.deepEqual([vm.vcpuCount, vm.memoryMiB, vm.vmm], [1, 512, "auto"]);
    assert.deepEqual([vm.network?.ipv4, vm.network?.policyMode], ["10.213.0.2", "open"]);
  } finally {
    await daemon.dispose();
  }
});

test("what is set is used", async () => {
  const daemon = await makeDaemon();
  const elsewhere = join(daemon.directory, "elsewhere");
  const config = [
    "api: {listen: 'localhost:0'}",
    `storage: {directory: ${elsewhere}}`,
    "vm: {vcpuCount: 2, memoryMiB: 128}",
    "vmm: {qemu: /nonexistent/qemu, default: qemu}",
    "memory: {limitMiB: 1000}",
    "network: {mode: off, ipv4Subnet: 192.168.77.0/24, ipv6Subnet: 'fd00:0:0:0::/64', policy: {allow: [a.test]}}",
    "log: {level: error}",
  ];
  await fs.mkdir(elsewhere, { mode: 0o700 });
  await fs.writeFile(daemon.locations.configFile, config.join("\n"));
  try {
    await daemon.start();
    const { tcp, storage, memory, vmm } = await daemon.client.call("system.status");
    assert.match(tcp ?? "", /^localhost:\d+$/);
    assert.equal(storage.directory, elsewhere);
    assert.equal(memory.limitMiB, 1000);
    assert.deepEqual([vmm.kind, vmm.usable], ["qemu", false]);
    assert.match(vmm.reason, /\/nonexistent\/qemu/);
    await daemon.importBase();
    const vm = await daemon.client.call("vm.create", { body: { name: "dev", image: "base" } });
    assert.deepEqual([vm.vcpuCount, vm.memoryMiB], [2, 128]);
    assert.deepEqual([vm.network?.ipv4, vm.network?.ipv6], ["192.168.77.2", "fd00::2"]);
    const policy = await daemon.client.call("network.policy.get");
    assert.deepEqual([policy.mode, policy.allow], ["allow", ["a.test"]]);
    const set = await daemon.client.call("network.policy.set", { body: { mode: "none" } });
    await daemon.stop();
    await daemon.start();
    assert.deepEqual(await daemon.client.call("network.policy.get"), set, "what is set wins over the file");
    assert.equal(daemon.log, "", "only errors are logged");
    // the kit clears away only what lies in the default place
    await daemon.client.call("vm.delete", { params: { vm: "dev" } });
    await daemon.client.call("image.delete", { params: { image: "base" } });
  } finally {
    await daemon.dispose();
  }
});
