import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { locate } from "@workfort/contract/locations";
import { pathsOf } from "../../src/paths.ts";
import { initLoopStore, unmountStore } from "../../src/storage/loop-store.ts";
import { findMount } from "../../src/storage/mounts.ts";
import { checkStore } from "../../src/storage/store-check.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const gibibyte = 1024 ** 3;

/** One store in a file, its fstab line in a file of the test's. */
async function withPlace(
  use: (place: {
    paths: ReturnType<typeof pathsOf>;
    directory: string;
    init: (sizeBytes?: number) => ReturnType<typeof initLoopStore>;
  }) => Promise<void>,
): Promise<void> {
  const base = await fs.mkdtemp(join(tmpdir(), "workfort loop-"));
  const locations = locate(
    { HOME: base, XDG_DATA_HOME: join(base, "data"), XDG_STATE_HOME: join(base, "state"), XDG_RUNTIME_DIR: base },
    0,
  );
  const paths = pathsOf(locations);
  const fstab = join(base, "fstab");
  await fs.writeFile(fstab, "# a comment\n/dev/sda1 / ext4 defaults 0 1\n");
  const init = (sizeBytes: number | null = gibibyte) =>
    initLoopStore(paths, {
      directory: locations.dataDirectory,
      file: null,
      sizeBytes,
      owner,
      onProgress: () => {},
      fstab,
    });
  try {
    await use({ paths, directory: locations.dataDirectory, init });
  } finally {
    await unmountStore(locations.dataDirectory);
    await fs.rm(base, { recursive: true, force: true });
  }
}

test("a store in a file is made, found, mounted again after a reboot, and noticed when it is missing", () =>
  withPlace(async ({ paths, directory, init }) => {
    assert.equal((await init()).changed, true);
    await checkStore(paths, directory);
    assert.equal((await init()).changed, false, "a second run finds everything done");
    await fs.writeFile(join(directory, "kept"), "x");

    await unmountStore(directory);
    await assert.rejects(checkStore(paths, directory), {
      code: "storage_unavailable",
      message: /not mounted/,
      hint: /storage init/,
    });
    assert.equal((await init()).changed, true);
    assert.equal(await fs.readFile(join(directory, "kept"), "utf8"), "x");
    await checkStore(paths, directory);
  }));

test("the line in fstab is written once and leaves the others alone", () =>
  withPlace(async ({ directory, init }) => {
    await init();
    await unmountStore(directory);
    await init();
    const lines = (await fs.readFile(join(directory, "../../fstab"), "utf8")).trimEnd().split("\n");
    assert.equal(lines.length, 3);
    assert.deepEqual(lines.slice(0, 2), ["# a comment", "/dev/sda1 / ext4 defaults 0 1"]);
    assert.match(lines[2] ?? "", /workfort\\040loop-\S+\/data\/nexus\.btrfs \S+ btrfs loop,\S*nofail 0 0$/);
  }));

test("a store of another, a lost file and a full directory are refused", () =>
  withPlace(async ({ paths, directory, init }) => {
    await fs.mkdir(directory, { recursive: true });
    await fs.writeFile(join(directory, "precious"), "x");
    await assert.rejects(init(), { message: /not empty \(precious/ });
    await fs.rm(join(directory, "precious"));
    await init();
    const uuid = await fs.readFile(paths.storageMarker, "utf8");
    await fs.writeFile(paths.storageMarker, "7c9e6679-7425-40de-944b-e07fc1f90ae7\n");
    await assert.rejects(checkStore(paths, directory), {
      message: /holds store 7c9e6679.*, but the records belong to/,
    });
    await fs.writeFile(paths.storageMarker, uuid);
    await unmountStore(directory);
    await fs.rename(paths.loopFile, `${paths.loopFile}.away`);
    await assert.rejects(init(), { message: /is gone, but the records still belong to it/ });
    assert.equal(await findMount(directory), null);
  }));

test("a size that is too small is refused, and nothing is left", () =>
  withPlace(async ({ paths, init }) => {
    await assert.rejects(init(1024 ** 2), {
      code: "storage_full",
      message: /1 MiB is too small; it needs at least 1024 MiB/,
    });
    await assert.rejects(fs.stat(paths.loopFile), { code: "ENOENT" });
    await assert.rejects(fs.stat(`${paths.loopFile}.tmp`), { code: "ENOENT" });
  }));
