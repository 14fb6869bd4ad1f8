import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { testEnvironment } from "@workfort/testing";
import { Ext4Builder } from "../../src/images/builder.ts";
import { buildExt4 } from "../../src/images/ext4.ts";
import { inspectExt4 } from "../../src/images/ext4-file.ts";
import { runTool } from "../../src/process/run.ts";
import { buildAndProve } from "./ext4-of-tar.ts";
import { assertEverything, writeEverything } from "./everything.ts";

const { root } = testEnvironment();

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(root, "e"));
  try {
    await use(directory);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

test("a tar of everything comes right", () => buildAndProve(root));

test("a directory of everything comes right", () =>
  inDirectory(async (directory) => {
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    const tar = await writeEverything(directory);
    await runTool(["tar", "-xpf", tar, "-C", tree, "--numeric-owner", "--xattrs", "--xattrs-include=*"]);
    await runTool(["setfacl", "-m", "u:1234:r,g::rx,o::rx,m::rx", join(tree, "listed")]);
    await buildExt4({ source: { directory: tree }, target: join(directory, "image.ext4") });
    await assertEverything(join(directory, "image.ext4"));
    // and back through a tar of GNU's, which writes lists as text
    await runTool([
      "tar",
      "-cf",
      join(directory, "again.tar"),
      "-C",
      tree,
      "--numeric-owner",
      "--xattrs",
      "--xattrs-include=*",
      "--acls",
      ".",
    ]);
    await buildExt4({ source: { tar: join(directory, "again.tar") }, target: join(directory, "again.ext4") });
    await assertEverything(join(directory, "again.ext4"));
  }));

test("a sparse file stays sparse", () =>
  inDirectory(async (directory) => {
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    await fs.writeFile(join(tree, "sparse"), "");
    await fs.truncate(join(tree, "sparse"), 5 * 1024 ** 3);
    const { sizeBytes } = await buildExt4({ source: { directory: tree }, target: join(directory, "image.ext4") });
    assert.ok(sizeBytes < 1024 ** 3);
    const { stdout } = await runTool(["debugfs", "-R", "stat /sparse", join(directory, "image.ext4")]);
    assert.match(stdout, /Size: 5368709120\b/);
    assert.match(stdout, /Blockcount: 0\b/);
    const { blocks } = await fs.stat(join(directory, "image.ext4"));
    assert.ok(blocks * 512 < 32 * 1024 ** 2, `the image takes ${blocks * 512} bytes`);
  }));

test("a size that is too small is refused with both numbers, and nothing is left", () =>
  inDirectory(async (directory) => {
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    await fs.writeFile(join(tree, "big"), Buffer.alloc(30 * 1024 ** 2, 1));
    await assert.rejects(
      buildExt4({ source: { directory: tree }, target: join(directory, "image.ext4"), sizeBytes: 32 * 1024 ** 2 }),
      /32 MiB are too few for 3\d MiB of content; at least \d+ MiB are needed/,
    );
    assert.deepEqual(await fs.readdir(directory), ["tree"]);
  }));

test("the smallest size that is not refused is large enough", () =>
  inDirectory(async (directory) => {
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    for (let index = 0; index < 3000; index += 1)
      await fs.writeFile(join(tree, `file-${index}`), Buffer.alloc(5000, 1));
    const refused = await buildExt4({
      source: { directory: tree },
      target: join(directory, "image.ext4"),
      sizeBytes: 16 * 1024 ** 2,
    }).catch((error: Error) => error);
    const least = Number(/at least (\d+) MiB/.exec(refused instanceof Error ? refused.message : "")?.[1]);
    await buildExt4({
      source: { directory: tree },
      target: join(directory, "image.ext4"),
      sizeBytes: least * 1024 ** 2,
    });
  }));

test("what is no ext4 file is refused, saying how to mend it", () =>
  inDirectory(async (directory) => {
    const good = join(directory, "good.ext4");
    await runTool(["mke2fs", "-q", "-F", "-t", "ext4", good, "16M"]);
    const facts = await inspectExt4(good);
    assert.equal(facts.sizeBytes, 16 * 1024 ** 2);
    const spoil = async (name: string, change: (bytes: Buffer) => Buffer): Promise<string> => {
      await fs.writeFile(join(directory, name), change(await fs.readFile(good)));
      return join(directory, name);
    };
    const patch =
      (at: number, value: number) =>
      (bytes: Buffer): Buffer => {
        bytes.writeUInt16LE(value, 1024 + at);
        return bytes;
      };
    await assert.rejects(inspectExt4(await spoil("text", () => Buffer.from("hello"))), /it is no ext4 file system/);
    await assert.rejects(inspectExt4(await spoil("magic", patch(0x38, 0))), /it is no ext4 file system/);
    await assert.rejects(
      inspectExt4(await spoil("short", (bytes) => bytes.subarray(0, 9 * 1024 ** 2))),
      /truncated: the file system has 16777216 bytes, the file 9437184/,
    );
    await assert.rejects(inspectExt4(await spoil("errors", patch(0x3a, 2))), {
      code: "invalid_image",
      hint: /e2fsck -fy/,
    });
    await assert.rejects(inspectExt4(await spoil("journal", patch(0x60, 0x2c6))), {
      code: "invalid_image",
      hint: /e2fsck -fy/,
    });
  }));

test("the builder takes directories and files, and nothing else", () =>
  inDirectory(async (directory) => {
    const builder = new Ext4Builder();
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    const built = await builder.build(tree, join(directory, "a.ext4"), {});
    const copied = await builder.build(join(directory, "a.ext4"), join(directory, "b.ext4"), {});
    assert.deepEqual(copied, built);
    await assert.rejects(builder.build(join(directory, "absent"), join(directory, "c.ext4"), {}), {
      code: "invalid_image",
      message: /there is no such file/,
    });
    await assert.rejects(builder.build("/dev/null", join(directory, "c.ext4"), {}), {
      code: "invalid_image",
      message: /neither a directory nor a file/,
    });
    await assert.rejects(
      builder.build(join(directory, "a.ext4"), join(directory, "c.ext4"), { sizeBytes: 1024 ** 3 }),
      { code: "invalid_image" },
    );
  }));

test("an aborted build leaves nothing", () =>
  inDirectory(async (directory) => {
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    const stop = new AbortController();
    const building = buildExt4({
      source: { directory: tree },
      target: join(directory, "image.ext4"),
      signal: stop.signal,
    });
    stop.abort();
    await assert.rejects(building);
    assert.deepEqual(await fs.readdir(directory), ["tree"]);
  }));

test("a drive is made empty or of a directory, grows with what it holds, and is not grown where it is damaged", () =>
  inDirectory(async (directory) => {
    const builder = new Ext4Builder();
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    await fs.writeFile(join(tree, "file"), "kept");
    await fs.chown(tree, 1000, 70_000);
    await fs.chmod(tree, 0o2750);
    await fs.symlink("tree", join(directory, "link"));
    const mebibyte = 1024 ** 2;
    const empty = await builder.buildDrive(null, join(directory, "empty"), { sizeBytes: 32 * mebibyte });
    assert.equal(empty.sizeBytes, 32 * mebibyte);
    const roomy = join(directory, "roomy");
    await builder.buildDrive(null, roomy, { sizeBytes: 10 * 1024 ** 3 });
    assert.ok((await fs.stat(roomy)).blocks * 512 < 16 * mebibyte, "its tables are holes");
    const groups = (await runTool(["dumpe2fs", roomy])).stdout.match(/^Group \d.*$/gm) ?? [];
    assert.ok(groups.length === 80 && groups.every((line) => line.includes("ITABLE_ZEROED")), "no guest writes them");
    const image = join(directory, "image");
    await builder.buildDrive(join(directory, "link"), image, { sizeBytes: 32 * mebibyte });
    assert.match((await runTool(["debugfs", "-R", "ls -p /", image])).stdout, /^\/2\/042750\/1000\/70000\/\.\//m);

    await builder.grow(image, 256 * mebibyte);
    assert.equal((await inspectExt4(image)).sizeBytes, 256 * mebibyte);
    await runTool(["e2fsck", "-f", "-n", image]);
    assert.equal((await runTool(["debugfs", "-R", "cat /file", image])).stdout, "kept");
    await fs.writeFile(image, Buffer.alloc(mebibyte), { flag: "r+" });
    await assert.rejects(builder.grow(image, 512 * mebibyte), { code: "invalid_image", message: /e2fsck failed/ });
    await builder.replayJournal(image); // it has none any more
    const tooSmall = builder.buildDrive(tree, join(directory, "small"), { sizeBytes: mebibyte });
    await assert.rejects(tooSmall, { code: "invalid_image", message: /1 MiB are too few/ });
  }));
