import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { testEnvironment } from "@workfort/testing";
import { Ext4Builder } from "../../src/images/builder.ts";
import { buildExt4 } from "../../src/images/ext4.ts";
import { runTool } from "../../src/process/run.ts";
import { buildAndProve } from "./ext4-of-tar.ts";

const { root } = testEnvironment();

test("runs without privilege", () => assert.notEqual(process.getuid?.(), 0));

test("a tar of everything comes right, owners and devices included", () => buildAndProve(root));

test("a user's own directory becomes root's, attributes kept", async () => {
  const directory = await fs.mkdtemp(join(root, "e"));
  try {
    const tree = join(directory, "tree");
    await fs.mkdir(join(tree, "sub dir"), { recursive: true });
    await fs.writeFile(join(tree, "sub dir", "new\nline"), "x", { mode: 0o750 });
    await runTool(["setfattr", "-n", "user.note", "-v", "kept", join(tree, "sub dir", "new\nline")]);
    const image = join(directory, "image.ext4");
    await buildExt4({ source: { directory: tree }, target: image });
    const { stdout } = await runTool(["debugfs", "-R", 'ls -p "/sub dir"', image]);
    const inode = /^\/(\d+)\/100750\/0\/0\/new\nline\/1\/$/m.exec(stdout)?.[1];
    assert.ok(inode !== undefined, stdout);
    assert.match((await runTool(["debugfs", "-R", `ea_get <${inode}> user.note`, image])).stdout, /kept/);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
});

test("a user's own directory stays the user's on a drive, its top too, attributes kept", async () => {
  const directory = await fs.mkdtemp(join(root, "e"));
  try {
    const tree = join(directory, "tree");
    await fs.mkdir(tree);
    await fs.writeFile(join(tree, "file"), "x", { mode: 0o640 });
    await fs.chmod(tree, 0o2750);
    await runTool(["setfattr", "-n", "user.note", "-v", "kept", join(tree, "file")]);
    const image = join(directory, "image.ext4");
    await new Ext4Builder().buildDrive(tree, image, {});
    const own = `${process.getuid?.()}/${process.getgid?.()}`;
    const { stdout } = await runTool(["debugfs", "-R", "ls -p /", image]);
    assert.match(stdout, new RegExp(`^/2/042750/${own}/\\./`, "m"));
    assert.match(stdout, new RegExp(`/100640/${own}/file/1/`));
    assert.match((await runTool(["debugfs", "-R", "ea_get /file user.note", image])).stdout, /kept/);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
});
