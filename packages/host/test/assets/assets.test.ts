import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { testEnvironment } from "@workfort/testing";
import { extractVmlinux } from "../../src/assets/bzimage.ts";
import { cpioOf } from "../../src/assets/cpio.ts";
import { ensureInitramfs } from "../../src/assets/initramfs.ts";
import { selectModules } from "../../src/assets/modules.ts";
import { runTool } from "../../src/process/run.ts";

const { root, kernelDirectory } = testEnvironment();

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(root, "a"));
  try {
    await use(directory);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

const elf = Buffer.concat([Buffer.from("\x7fELF", "latin1"), Buffer.from("kernel ".repeat(5000))]);

/** A bzImage as the boot protocol describes it, around a payload. */
function bzImage(payload: Buffer): Buffer {
  const sectors = 3;
  const head = Buffer.alloc((sectors + 1) * 512);
  head.writeUInt8(sectors, 0x1f1);
  head.write("HdrS", 0x202, "latin1");
  head.writeUInt32LE(0, 0x248);
  head.writeUInt32LE(payload.length + 4, 0x24c);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(elf.length);
  return Buffer.concat([head, payload, size]);
}

/** LZ4 with literals only, in one block */
function lz4(content: Buffer): Buffer {
  const length = [];
  for (let rest = content.length - 15; ; rest -= 255) {
    length.push(Math.min(rest, 255));
    if (rest < 255) break;
  }
  const block = Buffer.concat([Buffer.from([0xf0, ...length]), content]);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184c2102, 0);
  head.writeUInt32LE(block.length, 4);
  return Buffer.concat([head, block]);
}

test("the kernel comes out of a bzImage, whatever it is compressed with", async () => {
  const { stdout } = await runTool(["xz", "--check=crc32", "--stdout", "-"], { input: elf, encoding: "latin1" });
  for (const payload of [gzipSync(elf), zstdCompressSync(elf), lz4(elf), Buffer.from(stdout, "latin1")])
    assert.deepEqual(await extractVmlinux(bzImage(payload)), elf);
});

test("a damaged bzImage is refused", async () => {
  const good = bzImage(gzipSync(elf));
  await assert.rejects(extractVmlinux(Buffer.from("no kernel at all")), /no bzImage/);
  await assert.rejects(extractVmlinux(good.subarray(0, -100)), /truncated/);
  await assert.rejects(extractVmlinux(bzImage(gzipSync(Buffer.from("not elf")))), /no ELF kernel/);
  await assert.rejects(extractVmlinux(bzImage(Buffer.from("????????????"))), /not supported/);
  for (const at of [0x812, 0x820]) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ 0xff;
    await assert.rejects(extractVmlinux(bad));
  }
  const far = lz4(elf);
  far.writeUInt8(0x10, 8); // a match that reaches back before the beginning
  await assert.rejects(extractVmlinux(bzImage(far)));
});

test("an initramfs is read by cpio as it was written", () =>
  inDirectory(async (directory) => {
    const files = { init: "abc", odd: "abcde" };
    for (const [name, content] of Object.entries(files)) await fs.writeFile(join(directory, name), content);
    const archive = cpioOf([
      { kind: "directory", path: "dev", mode: 0o755 },
      { kind: "characterDevice", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
      { kind: "file", path: "init", mode: 0o755, source: join(directory, "init") },
      { kind: "file", path: "odd", mode: 0o644, source: join(directory, "odd") },
    ]);
    await fs.writeFile(join(directory, "a.cpio"), archive);
    const { stdout } = await runTool([
      "cpio",
      "--list",
      "--verbose",
      "--numeric-uid-gid",
      "--file",
      join(directory, "a.cpio"),
    ]);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => line.replace(/\s+/g, " ").replace(/ [A-Z][a-z]{2} \d+ \S+ /, " "));
    assert.deepEqual(lines, [
      "drwxr-xr-x 2 0 0 0 dev",
      "crw------- 1 0 0 5, 1 dev/console",
      "-rwxr-xr-x 1 0 0 3 init",
      "-rw-r--r-- 1 0 0 5 odd",
    ]);
  }));

test("the initramfs is made once for an agent, and anew for another", () =>
  inDirectory(async (directory) => {
    await fs.mkdir(join(directory, "modules"));
    await fs.writeFile(join(directory, "modules", "00-a.ko"), "module");
    const agent = join(directory, "agent");
    await fs.writeFile(agent, "first");
    const first = await ensureInitramfs(directory, agent);
    const { ino } = await fs.stat(first);
    assert.equal(await ensureInitramfs(directory, agent), first);
    assert.equal((await fs.stat(first)).ino, ino);
    await fs.writeFile(agent, "second");
    const second = await ensureInitramfs(directory, agent);
    assert.notEqual(second, first);
    assert.deepEqual(
      (await fs.readdir(directory)).filter((name) => name.startsWith("initramfs")),
      [basename(second)],
    );
  }));

test("modules come in the order of their dependencies", () =>
  inDirectory(async (directory) => {
    const module = async (name: string, depends: string): Promise<void> => {
      await fs.writeFile(join(directory, `${name}.ko`), `ELF\0depends=${depends}\0name=${name}\0`);
    };
    await fs.writeFile(join(directory, "modules.builtin"), "kernel/fs/ext4/ext4.ko\n");
    await module("virtio", "");
    await module("virtio-ring", "virtio");
    await module("virtio_mmio", "virtio,virtio-ring");
    await module("virtio_blk", "virtio_ring,virtio");
    await assert.rejects(selectModules(directory), /neither a module virtio_console nor has it built in/);
    await module("virtio_console", "virtio");
    assert.deepEqual(
      (await selectModules(directory)).map(({ name }) => name),
      ["virtio", "virtio_ring", "virtio_mmio", "virtio_blk", "virtio_console"],
    );
  }));

test("the prepared kernel is whole", async () => {
  const manifest = JSON.parse(await fs.readFile(join(kernelDirectory, "manifest.json"), "utf8")) as {
    version: string;
    modules: string[];
  };
  assert.match(manifest.version, /^\d+\.\d+/);
  assert.deepEqual(manifest.modules.slice(0, 5), [
    "virtio_ring",
    "virtio",
    "virtio_mmio",
    "virtio_blk",
    "virtio_console",
  ]);
  const head = Buffer.alloc(4);
  const handle = await fs.open(join(kernelDirectory, "vmlinux"));
  await handle.read(head, 0, 4, 0);
  await handle.close();
  assert.equal(head.toString("latin1"), "\x7fELF");
});
