import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { refusal } from "@workfort/testing";
import { Confinement } from "../../src/confinement/confinement.ts";
import { jailedCommand, jailOf, makeJail } from "../../src/confinement/jailer.ts";
import { runPaths } from "../../src/paths.ts";
import { Keeper } from "../../src/process/keeper.ts";
import { findKept, startKept, undoStart, type KeptStart } from "../../src/vmm/kept-vmm.ts";
import { directory as directoryOf, keeperProgram } from "../process/keeper-program.ts";

/** A shell instead of a VMM, held as a VMM is. */
function startOf(directory: string, script: string, more: Partial<KeptStart> = {}): KeptStart {
  return {
    manner: { title: "Shell", explainExit: () => null, lastWords: (text) => text.trim() },
    keeperProgram,
    confinement: new Confinement({ keeperProgram, files: true }),
    vmName: "dev",
    directory: join(directory, "run"),
    limits: { memoryMiB: 64, vcpuCount: 1 },
    argv: ["/bin/sh", "-c", script],
    files: { read: [], write: [] },
    jail: null,
    hasLog: false,
    bringUp: () => Promise.resolve(),
    ...more,
  };
}

const signal = AbortSignal.timeout(60_000);

/** What a program that ends has said. */
async function consoleOf(start: KeptStart): Promise<string> {
  const { keeper } = await startKept(start, signal);
  await keeper.waitForEnd(signal);
  const { bytes } = await keeper.console(0);
  await undoStart(keeper, start.directory);
  await assert.rejects(fs.stat(start.directory), { code: "ENOENT" });
  return bytes.toString();
}

test("a VMM has its guest's files and its own directory, and none of the host's", async (t) => {
  const directory = await directoryOf(t);
  for (const name of ["kernel", "disk", "secret"]) await fs.writeFile(join(directory, name), name);
  const [kernel = "", disk = "", secret = ""] = ["kernel", "disk", "secret"].map((name) => join(directory, name));
  const { vmm, held, keeper } = runPaths(join(directory, "run"));
  const said = await consoleOf(
    startOf(
      directory,
      `cat ${kernel}; echo more >> ${disk} && cat ${disk}; echo x > ${vmm}/own && echo own
        for path in ${secret} /etc/passwd /etc/shadow /proc/1/cmdline ${held}; do (cat $path) 2>&1; done
        (echo x >> ${kernel}) 2>&1; (rm -f ${keeper}) 2>&1; (ls ${directory}) 2>&1`,
      { files: { read: [kernel], write: [disk] } },
    ),
  );
  assert.match(said, /^kerneldiskmore\nown\n/);
  assert.equal(said.match(/Permission denied/g)?.length, 8, said);
  assert.equal(await fs.readFile(secret, "utf8"), "secret");
});

test("a directory in which a VMM lives is never taken from it", async (t) => {
  const directory = await directoryOf(t);
  const start = startOf(directory, "sleep 60");
  const { keeper } = await startKept(start, signal);
  const { code, message } = await refusal(startKept(start, signal));
  assert.equal(code, "vmm_failed");
  assert.match(message, /another VMM still uses/);
  assert.equal((await keeper.status()).state, "running");
  await undoStart(keeper, start.directory);
});

test("a run whose keeper has died is found out and removed with all that lives of it", async (t) => {
  const directory = await directoryOf(t);
  const start = startOf(directory, "setsid sleep 60 & echo begun; wait");
  const { keeper, started } = await startKept(start, signal);
  for await (const bytes of keeper.followConsole(0, signal)) if (bytes.includes("begun")) break;
  process.kill(started.keeperPid, "SIGKILL"); // started by this test
  await assert.rejects(keeper.waitForEnd(signal));
  assert.equal(await findKept(start.directory), null);
  await assert.rejects(fs.stat(start.directory), { code: "ENOENT" });
});

test("a jail holds the guest's files alone, its disks are its user's, and nothing of it stays", async (t) => {
  const directory = await directoryOf(t);
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
        files,
        log: "log",
        arguments: ["--api-sock", "/api"],
      }),
      files: null,
      jail: { ...jail, make: () => makeJail(jail, files) },
      hasLog: true,
    }),
  );
  assert.match(
    said,
    /^--id abc --exec-file \S+ --uid 1000000007 --gid 1000000007 --chroot-base-dir \S+ --cgroup-version 1 -- --api-sock \/api\n/,
  );
  assert.match(said, /\nkernel1000000007 disk\n1000000007 log\n.*Read-only file system/);
  assert.equal(await fs.readFile(join(directory, "disk"), "utf8"), "diskmore\n");
  await assert.rejects(fs.stat(jail.directory), { code: "ENOENT" });
  assert.ok(!(await fs.readFile("/proc/self/mountinfo", "utf8")).includes(directory), "no mount of it is the host's");
});

test("a keeper that is gone leaves no socket to ask", async (t) => {
  const directory = await directoryOf(t);
  assert.equal(await findKept(join(directory, "nothing")), null);
  await assert.rejects(new Keeper(runPaths(directory).keeper).status(), { code: "unreachable" });
});
