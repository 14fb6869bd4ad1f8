import assert from "node:assert/strict";
import { test } from "node:test";
import type { VmSpec } from "@workfort/core";
import { qemuArguments } from "../../src/vmm/qemu/arguments.ts";

const spec: VmSpec = {
  id: "vm_dev",
  name: "dev",
  cid: 3,
  vcpuCount: 1,
  memoryMiB: 256,
  kernel: { version: "test", vmlinux: "/vmlinux", initramfs: "/initramfs" },
  drives: [
    { id: "ws_root", path: "/root.ext4", readOnly: false, rateLimit: null },
    {
      id: "drv_a",
      path: "/a,b.ext4",
      readOnly: true,
      rateLimit: { bytesPerSecond: 50_000_000, operationsPerSecond: 1000 },
    },
    { id: "drv_b", path: "/b.ext4", readOnly: false, rateLimit: { bytesPerSecond: null, operationsPerSecond: 10 } },
  ],
  mounts: [{ device: "vdb", path: "/my work", readOnly: true }],
  network: null,
  directory: "/run",
};

test("drives come in their order, each with its access, its limits and a cache that honours fsync", () => {
  const words = qemuArguments(spec, "kvm", null);
  const drives = words.filter((word) => word.startsWith("id=drive"));
  assert.deepEqual(
    drives.map((word) => [word.split(",")[0], /read-only=\w+/.exec(word)?.[0], word.slice(word.indexOf("file="))]),
    [
      ["id=drive0", "read-only=off", "file=/root.ext4"],
      ["id=drive1", "read-only=on", "file=/a,,b.ext4"],
      ["id=drive2", "read-only=off", "file=/b.ext4"],
    ],
  );
  for (const word of drives) assert.match(word, /cache=writeback/);
  assert.deepEqual(
    drives.map((word) => word.match(/throttling\.[^,]*/g) ?? []),
    [[], ["throttling.bps-total=50000000", "throttling.iops-total=1000"], ["throttling.iops-total=10"]],
  );
  assert.deepEqual(
    words.filter((word) => word.startsWith("virtio-blk-device")),
    ["virtio-blk-device,drive=drive0", "virtio-blk-device,drive=drive1", "virtio-blk-device,drive=drive2"],
  );
});

test("mounts are words of the kernel's command line", () => {
  const words = qemuArguments(spec, "tcg", 2_000_000);
  assert.match(words[words.indexOf("-append") + 1] ?? "", / workfort\.mount=vdb:\/my%20work:ro$/);
});

test("a large guest under software emulation keeps more of its translated code", () => {
  const kept = (memoryMiB: number): string | undefined =>
    qemuArguments({ ...spec, memoryMiB }, "tcg", null).find((word) => word.startsWith("tcg,"));
  assert.deepEqual([256, 1024, 6144].map(kept), ["tcg,tb-size=128", "tcg,tb-size=128", "tcg,tb-size=768"]);
});

test("a guest has the host's processor, or an emulated one without what costs most to emulate", () => {
  const processor = (words: string[]): string | undefined => words[words.indexOf("-cpu") + 1];
  assert.equal(processor(qemuArguments(spec, "kvm", null)), "host");
  assert.equal(processor(qemuArguments(spec, "tcg", null)), "max,-erms,-fsrm,-la57");
});
