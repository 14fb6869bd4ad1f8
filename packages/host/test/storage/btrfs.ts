import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { locate } from "@workfort/contract/locations";
import { testEnvironment } from "@workfort/testing";
import { pathsOf, type Paths } from "../../src/paths.ts";
import { BtrfsDriver } from "../../src/storage/btrfs/driver.ts";

/** A driver on a store of its own. */
export async function withDriver(
  use: (driver: BtrfsDriver, paths: Paths, directory: string) => Promise<void>,
): Promise<void> {
  const directory = await fs.mkdtemp(join(testEnvironment().root, "b"));
  const locations = locate(
    {
      HOME: directory,
      XDG_DATA_HOME: directory,
      XDG_STATE_HOME: join(directory, "state"),
      XDG_RUNTIME_DIR: join(directory, "run"),
    },
    0,
  );
  const paths = pathsOf(locations);
  const driver = new BtrfsDriver(paths, locations.dataDirectory);
  await driver.prepare();
  try {
    await use(driver, paths, locations.dataDirectory);
  } finally {
    for (const kind of ["images", "workspaces", "drives"] as const)
      for (const id of await driver.list(kind)) await driver.delete(kind, id);
    await fs.rm(directory, { recursive: true, force: true });
  }
}

const mebibyte = 1024 ** 2;

/** The whole life of an image and its workspaces; asserts what holds whoever runs it. */
export async function proveLife(): Promise<void> {
  await withDriver(async (driver) => {
    await driver.createImage("img_aaaaaaaaaaaa", (path) =>
      fs.writeFile(join(path, "rootfs.ext4"), Buffer.alloc(8 * mebibyte, 7)),
    );
    const disk = driver.diskPath("images", "img_aaaaaaaaaaaa");
    await assert.rejects(fs.writeFile(disk, "x"), { code: /EROFS|EPERM|EACCES/ }, "an image cannot be written");
    assert.equal(await driver.exists("images", "img_aaaaaaaaaaaa"), true);

    await driver.snapshot("img_aaaaaaaaaaaa", "ws_bbbbbbbbbbbb");
    await driver.snapshot("img_aaaaaaaaaaaa", "ws_cccccccccccc");
    const workspace = driver.diskPath("workspaces", "ws_bbbbbbbbbbbb");
    assert.deepEqual(await driver.usage("workspaces", "ws_bbbbbbbbbbbb"), {
      sizeBytes: 8 * mebibyte,
      sharedBytes: 8 * mebibyte,
      exclusiveBytes: 0,
    });

    const handle = await fs.open(workspace, "r+");
    await handle.write(Buffer.alloc(mebibyte, 9), 0, mebibyte, 2 * mebibyte);
    await handle.sync();
    await handle.close();
    assert.deepEqual(await driver.usage("workspaces", "ws_bbbbbbbbbbbb"), {
      sizeBytes: 8 * mebibyte,
      sharedBytes: 7 * mebibyte,
      exclusiveBytes: mebibyte,
    });
    assert.equal((await fs.readFile(disk))[2 * mebibyte], 7, "the image has not changed");
    assert.equal(
      (await fs.readFile(driver.diskPath("workspaces", "ws_cccccccccccc")))[2 * mebibyte],
      7,
      "nor has the other workspace",
    );

    await assert.rejects(driver.snapshot("img_aaaaaaaaaaaa", "ws_bbbbbbbbbbbb"), {
      code: "storage_unavailable",
      message: /EEXIST/,
    });
    await assert.rejects(driver.snapshot("img_nothere22222", "ws_dddddddddddd"), {
      code: "storage_unavailable",
      message: /ENOENT/,
    });

    await driver.delete("images", "img_aaaaaaaaaaaa");
    assert.equal((await fs.readFile(workspace))[0], 7, "a workspace outlives its image");
    for (const id of ["ws_bbbbbbbbbbbb", "ws_cccccccccccc"]) await driver.delete("workspaces", id);
    await driver.delete("workspaces", "ws_bbbbbbbbbbbb"); // again is fine
    assert.deepEqual([await driver.list("images"), await driver.list("workspaces")], [[], []]);
  });
}

/** The life of drives; asserts what holds whoever runs it. */
export async function proveDrives(): Promise<void> {
  await withDriver(async (driver, paths) => {
    const [id, copyId] = ["drv_aaaaaaaaaaaa", "drv_bbbbbbbbbbbb"];
    await driver.createDrive(id, (path) => fs.writeFile(path, Buffer.alloc(8 * mebibyte, 7)));
    assert.deepEqual([await driver.exists("drives", id), await driver.list("drives")], [true, [id]]);
    await driver.snapshotDrive(id, copyId);
    const { sharedBytes, exclusiveBytes } = await driver.usage("drives", copyId);
    assert.deepEqual([sharedBytes, exclusiveBytes], [8 * mebibyte, 0]);

    await driver.replaceDrive(id, (path) => fs.truncate(path, 16 * mebibyte));
    assert.deepEqual(
      [await driver.size("drives", id), await driver.size("drives", copyId)],
      [16 * mebibyte, 8 * mebibyte],
    );
    const failing = driver.replaceDrive(id, async (path) => {
      await fs.truncate(path, 0);
      throw new Error("no");
    });
    await assert.rejects(failing, { code: "storage_unavailable", message: /no$/ });
    assert.equal((await fs.readFile(driver.diskPath("drives", id)))[0], 7, "a change that fails changes nothing");
    await driver.dropReplacement(id);
    await driver.dropReplacement(id); // again is fine
    assert.deepEqual(await fs.readdir(paths.disk("drives", id)), ["drive.ext4"]);

    await driver.delete("drives", id);
    assert.equal((await fs.readFile(driver.diskPath("drives", copyId)))[0], 7, "a snapshot outlives its source");
    for (const left of [id, copyId]) await driver.delete("drives", left);
    assert.deepEqual(await driver.list("drives"), []);
  });
}
