import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { proveDrives, proveLife, withDriver } from "./btrfs.ts";

test("images and workspaces", proveLife);

test("drives", proveDrives);

test("an image whose making fails can be deleted whole", () =>
  withDriver(async (driver) => {
    const making = driver.createImage("img_aaaaaaaaaaaa", async (path) => {
      await fs.writeFile(join(path, "rootfs.ext4.1.tmp"), "half");
      throw new Error("the source is broken");
    });
    await assert.rejects(making, /the source is broken/);
    assert.equal(await driver.exists("images", "img_aaaaaaaaaaaa"), false);
    await driver.delete("images", "img_aaaaaaaaaaaa");
    assert.deepEqual(await driver.list("images"), []);
  }));

test("space and directory are told", () =>
  withDriver(async (driver, _, directory) => {
    const space = await driver.space();
    assert.equal(space.directory, directory);
    assert.ok(space.freeBytes > 0 && space.freeBytes <= space.totalBytes);
  }));
