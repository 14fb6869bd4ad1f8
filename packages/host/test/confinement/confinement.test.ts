import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { endowmentOf, jailedCommand, jailOf, makeJail } from "../../src/confinement/jailer.ts";
import { directory as directoryOf } from "../process/keeper-program.ts";
import { consoleOf, proveFiles, proveGroup, proveMemory, proveOrphans, startOf } from "./held.ts";

test("files", proveFiles);

test("groups", proveGroup);

test("orphans", proveOrphans);

test("memory", proveMemory);

test("a jail holds the guest's files alone, its disks are its user's, and nothing of it stays", async (t) => {
  const directory = join(await directoryOf(t), "with a space");
  await fs.mkdir(directory);
  for (const name of ["kernel", "disk"]) await fs.writeFile(join(directory, name), name);
  // where the jailer stands: it is Firecracker's, and what it does is tried in the lab
  const jailer = join(directory, "jailer");
  await fs.writeFile(
    jailer,
    `#!/bin/sh
      root=$10/firecracker/$2/root
      cd "$root" || exit 1
      echo "$@"; cat kernel; stat -c "%u %n" disk log; echo more >> disk; (echo x > kernel) 2>&1
      echo logged > log\n`.replace("$10", "${10}"),
    { mode: 0o755 },
  );
  const firecracker = join(directory, "firecracker");
  await fs.writeFile(firecracker, "");
  const jail = await jailOf(join(directory, "jails"), firecracker, "abc", 7);
  const files = [
    { path: join(directory, "kernel"), name: "kernel", readOnly: true },
    { path: join(directory, "disk"), name: "disk", readOnly: false },
  ];
  const said = await consoleOf(
    startOf(directory, "", {
      argv: jailedCommand({
        jail,
        jailer,
        firecracker,
        id: "abc",
        arguments: ["--api-sock", "/api"],
      }),
      files: null,
      jail: { ...jail, endowment: endowmentOf(jail, files, null), make: () => makeJail(jail, files) },
      hasLog: true,
    }),
  );
  assert.match(
    said,
    /^--id abc --exec-file .+ --uid 1000000007 --gid 1000000007 --chroot-base-dir .+ --cgroup-version 1 -- --api-sock \/api\n/,
  );
  assert.match(said, /\nkernel1000000007 disk\n1000000007 log\n.*Read-only file system/);
  assert.equal(await fs.readFile(join(directory, "disk"), "utf8"), "diskmore\n");
  await assert.rejects(fs.stat(jail.directory), { code: "ENOENT" });
  assert.ok(!(await fs.readFile("/proc/self/mountinfo", "utf8")).includes(directory), "no mount of it is the host's");
});
