import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { refusal } from "@workfort/testing";
import { Confinement } from "../../src/confinement/confinement.ts";
import { readHeld } from "../../src/confinement/held.ts";
import { runPaths } from "../../src/paths.ts";
import { runTool } from "../../src/process/run.ts";
import { KeptRun } from "../../src/vmm/kept-run.ts";
import { findKept, startKept, undoStart, type KeptStart } from "../../src/vmm/kept-vmm.ts";
import { directory as directoryOf, keeperProgram } from "../process/keeper-program.ts";

/** What holds a run, whoever runs the daemon and whatever runs the host. */

/** A run's directory has the name of its control group, which no other test may have. */
const runIn = (directory: string): string => join(directory, basename(directory));

/** A shell instead of a VMM, held as a VMM is. */
export function startOf(directory: string, script: string, more: Partial<KeptStart> = {}): KeptStart {
  return {
    manner: { title: "Shell", explainExit: () => null, lastWords: (text) => text.trim(), guestBootMs: () => null },
    keeperProgram,
    confinement: new Confinement({ keeperProgram, files: true }),
    vmName: "dev",
    directory: runIn(directory),
    limits: { memoryMiB: 64, vcpuCount: 1 },
    argv: ["/bin/sh", "-c", script],
    files: { read: [], write: [] },
    namespaces: null,
    jail: null,
    hasLog: false,
    bringUp: () => Promise.resolve(),
    ...more,
  };
}

const signal = AbortSignal.timeout(60_000);

/** What a program that ends has said. */
export async function consoleOf(start: KeptStart): Promise<string> {
  const { keeper } = await startKept(start, signal);
  await keeper.waitForEnd(signal);
  const { bytes } = await keeper.console(0);
  await undoStart(keeper, start.directory);
  await assert.rejects(fs.stat(start.directory), { code: "ENOENT" });
  return bytes.toString();
}

/** what is to hold a run here: what the host has of systemd and of authority */
async function expectedGroup(): Promise<string> {
  const systemd = await fs.stat("/run/systemd/system").catch(() => null);
  return systemd !== null ? "systemd" : process.getuid?.() === 0 ? "cgroup" : "none";
}

/** A VMM has its guest's files and its own directory, and none of the host's. */
export async function proveFiles(t: TestContext): Promise<void> {
  const directory = await directoryOf(t);
  for (const name of ["kernel", "disk", "secret"]) await fs.writeFile(join(directory, name), name);
  const [kernel = "", disk = "", secret = ""] = ["kernel", "disk", "secret"].map((name) => join(directory, name));
  const { vmm, held, keeper } = runPaths(runIn(directory));
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
}

/** A directory in which a VMM lives is never taken from it; what holds it is written down there. */
export async function proveGroup(t: TestContext): Promise<void> {
  const directory = await directoryOf(t);
  const start = startOf(directory, "sleep 60");
  const { keeper, started } = await startKept(start, signal);
  const { code, message } = await refusal(startKept(start, signal));
  assert.equal(code, "vmm_failed");
  assert.match(message, /another VMM still uses/);
  assert.equal((await keeper.status()).state, "running");
  const group = (await readHeld(start.directory))?.group;
  assert.equal(group?.kind, await expectedGroup());
  if (group?.kind === "systemd") {
    const names = ["MainPID", "MemoryMax", "TasksMax", "Slice", "ActiveState"];
    const shown = await runTool([
      "systemctl",
      `--${group.manager}`,
      "show",
      `--property=${names.join(",")}`,
      group.unit,
    ]);
    assert.deepEqual(shown.stdout.trim().split("\n").toSorted(), [
      "ActiveState=active",
      `MainPID=${started.keeperPid}`,
      `MemoryMax=${256 * 1024 ** 2}`,
      "Slice=workfort.slice",
      "TasksMax=512",
    ]);
  }
  await undoStart(keeper, start.directory);
  if (group?.kind === "systemd") {
    const { stdout } = await runTool([
      "systemctl",
      `--${group.manager}`,
      "list-units",
      "--all",
      "--plain",
      "workfort-*",
    ]);
    assert.match(stdout, /\b0 loaded units/);
  }
}

/** A run whose keeper has died is found out and removed, with all that lives of it where that can be ended. */
export async function proveOrphans(t: TestContext): Promise<void> {
  const directory = await directoryOf(t);
  const canEnd = (await expectedGroup()) !== "none";
  const start = startOf(directory, `${canEnd ? "setsid sleep 1234 & " : ""}echo begun; wait; sleep 60`);
  const { keeper, started } = await startKept(start, signal);
  for await (const bytes of keeper.followConsole(0, signal)) if (bytes.includes("begun")) break;
  process.kill(started.keeperPid, "SIGKILL"); // started by this test
  await assert.rejects(keeper.waitForEnd(signal));
  assert.equal(await findKept(start.directory), null);
  await assert.rejects(fs.stat(start.directory), { code: "ENOENT" });
  const { stdout } = await runTool(["pgrep", "-f", "sleep 1234"], { okCodes: [0, 1] });
  assert.equal(stdout, "");
}

/** A VMM that wants more memory than it may have is ended, and that is told. */
export async function proveMemory(t: TestContext): Promise<void> {
  const start = startOf(await directoryOf(t), "exec dd if=/dev/zero of=/dev/null bs=500M count=1");
  const { keeper, started } = await startKept(start, signal);
  const confinement = { group: "none", files: "none", reason: "" } as const;
  const vmm = { kind: "qemu", accelerator: "tcg", reason: "", pid: started.vmmPid, confinement } as const;
  const facts = { hostBootId: "", directory: start.directory, ...started, vmm, committedMiB: 0 };
  const never = (): Promise<never> => Promise.reject(new Error("not asked here"));
  const door = {
    openChannel: never,
    pause: never,
    resume: never,
    isPaused: never,
    disks: never,
    pressCtrlAltDel: never,
  };
  const run = new KeptRun(facts, keeper, start.manner, door);
  const { signal: how, meaning } = await run.waitForEnd(signal);
  assert.deepEqual([how, meaning], ["SIGKILL", "it wanted more memory than its control group may have"]);
  await run.release();
  await assert.rejects(fs.stat(start.directory), { code: "ENOENT" });
}
