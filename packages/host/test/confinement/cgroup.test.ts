import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { cgroupPaths, endCgroup, findHierarchies, makeCgroup, ranOutOfMemory } from "../../src/confinement/cgroup.ts";
import { Keeper, startKeeper } from "../../src/process/keeper.ts";
import { directory as directoryOf, keeperProgram } from "../process/keeper-program.ts";

const limits = { memoryBytes: 64 * 1024 ** 2, processors: 1.5, tasks: 20 };

/** Runs a program behind a keeper in a group of its own. */
async function withGroup(
  t: TestContext,
  argv: readonly string[],
  use: (keeper: Keeper, started: { keeperPid: number; vmmPid: number }, groups: string[]) => Promise<void>,
): Promise<void> {
  const hierarchies = await findHierarchies();
  const name = `test-${process.pid}`;
  const groups = cgroupPaths(hierarchies, name);
  const directory = await directoryOf(t);
  try {
    await makeCgroup(hierarchies, name, limits);
    const socketPath = join(directory, "keeper");
    const started = await startKeeper({
      program: keeperProgram,
      socketPath,
      consoleBytes: 4096,
      cgroups: groups,
      argv,
    });
    await use(new Keeper(socketPath), started, groups);
  } finally {
    await endCgroup(groups);
  }
  for (const group of groups) await assert.rejects(fs.stat(group), { code: "ENOENT" });
}

test("keeper and VMM are in the group from their first moment, with its limits", (t) =>
  withGroup(t, ["sleep", "60"], async (_, { keeperPid, vmmPid }, groups) => {
    for (const group of groups) {
      const inside = (await fs.readFile(join(group, "cgroup.procs"), "utf8")).trim().split("\n").map(Number);
      assert.deepEqual(new Set(inside), new Set([keeperPid, vmmPid]));
    }
    const read = async (...names: string[]): Promise<string | undefined> => {
      for (const group of groups)
        for (const name of names) {
          const text = await fs.readFile(join(group, name), "utf8").catch(() => null);
          if (text !== null) return text.trim();
        }
      return undefined;
    };
    assert.equal(await read("memory.max", "memory.limit_in_bytes"), String(limits.memoryBytes));
    assert.match((await read("cpu.max", "cpu.cfs_quota_us")) ?? "", /^150000( 100000)?$/);
    assert.equal(await read("pids.max"), "20");
  }));

test("what wants more memory than the group has is ended, and the group tells so; the keeper lives", (t) =>
  withGroup(t, ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], async (keeper, _, groups) => {
    const end = await keeper.waitForEnd();
    assert.equal(end.signal, "SIGKILL");
    assert.ok((await Promise.all(groups.map(ranOutOfMemory))).includes(true));
    await keeper.release();
  }));

test("a group is ended with all that is in it, also what does not die with its keeper", (t) =>
  withGroup(
    t,
    ["sh", "-c", "setsid sleep 60 & setsid sleep 60 & echo begun; wait"],
    async (keeper, started, groups) => {
      const signal = AbortSignal.timeout(10_000);
      for await (const bytes of keeper.followConsole(0, signal)) if (bytes.includes("begun")) break;
      process.kill(started.keeperPid, "SIGKILL"); // our own, with its VMM; the two sleepers stay
      await assert.rejects(keeper.waitForEnd(signal));
      await endCgroup(groups);
      await endCgroup(groups);
    },
  ));

test("an earlier run's group of the same name is taken away first", (t) =>
  withGroup(t, ["sleep", "60"], async (_, { vmmPid }, groups) => {
    const hierarchies = await findHierarchies();
    await makeCgroup(hierarchies, groups[0]?.split("/").at(-1) ?? "", limits);
    for (const group of groups) assert.equal(await fs.readFile(join(group, "cgroup.procs"), "utf8"), "");
    const state = await fs.readFile(`/proc/${vmmPid}/stat`, "utf8").catch(() => "gone Z");
    assert.match(state, / Z/);
  }));
