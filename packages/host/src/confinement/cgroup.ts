import { mkdirSync, promises as fs, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { listMounts } from "../storage/mounts.ts";
import type { Limits } from "./group.ts";

/**
 * Control groups of our own, where root runs the daemon on a host without systemd: `workfort/<run>` in the unified
 * hierarchy (cgroup v2), or in the daemon's own place in each of the old ones (v1). What a start does here is done by
 * synchronous calls: they touch no medium, and the way through another thread takes longer than each of them.
 */
const parentName = "workfort";
/** of the old hierarchies, those whose limits are used */
const controllers = ["memory", "cpu", "pids"] as const;
type Controller = (typeof controllers)[number];
/** the window in which processor time is counted, us; the kernel's own default */
const periodMicroseconds = 100_000;
/** for the processes of a group to be gone after SIGKILL, ms */
const endBoundMs = 10_000;
const lookAgainMs = 10;

export interface Hierarchy {
  version: 1 | 2;
  /** where the groups of all runs lie */
  parent: string;
  controllers: readonly Controller[];
}

/** The hierarchies in which limits can be set; throws where there are none or they may not be changed. */
export async function findHierarchies(): Promise<Hierarchy[]> {
  const mounts = await listMounts();
  const own = parseOwnGroups(await fs.readFile("/proc/self/cgroup", "utf8"));
  const found: Hierarchy[] = [];
  for (const controller of controllers) {
    const mount = mounts.find(({ type, options }) => type === "cgroup" && options.split(",").includes(controller));
    const place = own.get(controller);
    if (mount === undefined || place === undefined) continue;
    const base = join(mount.target, within(mount.root, place));
    found.push({ version: 1, parent: join(base, parentName), controllers: [controller] });
  }
  const unified = mounts.find(({ type }) => type === "cgroup2");
  if (found.length === 0 && unified !== undefined) found.push(await unifiedHierarchy(unified.target));
  if (found.length === 0) throw new Error("the kernel offers no control groups here");
  // a hierarchy that is mounted read-only, as in a container, is found out now
  for (const hierarchy of found) {
    mkdirSync(hierarchy.parent, { recursive: true });
    removeEmpty(hierarchy.parent); // unless runs of another daemon are in it
  }
  return found;
}

/** Where a run's group lies in each hierarchy. */
export function cgroupPaths(hierarchies: readonly Hierarchy[], name: string): string[] {
  return hierarchies.map(({ parent }) => join(parent, name));
}

/** Makes a run's group in each hierarchy, limited; what an earlier run of the same name left is ended. */
export async function makeCgroup(hierarchies: readonly Hierarchy[], name: string, limits: Limits): Promise<void> {
  const directories = cgroupPaths(hierarchies, name);
  await endCgroup(directories);
  try {
    for (const [index, hierarchy] of hierarchies.entries()) {
      const directory = directories[index] ?? "";
      makeIn(hierarchy, directory);
      for (const [file, value] of settings(hierarchy, limits)) writeFileSync(join(directory, file), value);
    }
  } catch (error) {
    await endCgroup(directories);
    throw error;
  }
}

/** Ends every process of the group and removes it; one that is gone already is fine. */
export async function endCgroup(directories: readonly string[]): Promise<void> {
  const deadline = performance.now() + endBoundMs;
  for (const directory of directories) {
    while (!removeEmpty(directory)) {
      if (performance.now() > deadline) throw new Error(`processes in ${directory} do not end`);
      await killAll(directory);
      await delay(lookAgainMs);
    }
    removeEmpty(dirname(directory)); // the last one out
  }
}

/** Whether the kernel has ended a process of the group because it wanted more memory than its limit. */
export async function ranOutOfMemory(directory: string): Promise<boolean> {
  for (const file of ["memory.events", "memory.oom_control"]) {
    const text = await fs.readFile(join(directory, file), "utf8").catch(() => "");
    if (/^oom_kill [1-9]/m.test(text)) return true;
  }
  return false;
}

/** The unified hierarchy with our parent group in it, its controllers handed down. */
async function unifiedHierarchy(root: string): Promise<Hierarchy> {
  const offered = (await fs.readFile(join(root, "cgroup.controllers"), "utf8")).trim().split(" ");
  const wanted = controllers.filter((controller) => offered.includes(controller));
  if (wanted.length === 0) throw new Error("the kernel offers no controllers in its unified hierarchy");
  handDown(root, wanted);
  return { version: 2, parent: join(root, parentName), controllers: wanted };
}

function handDown(directory: string, wanted: readonly Controller[]): void {
  const words = wanted.map((controller) => `+${controller}`).join(" ");
  writeFileSync(join(directory, "cgroup.subtree_control"), words);
}

/** Another run's end may remove the parent at any moment. */
function makeIn(hierarchy: Hierarchy, directory: string): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      mkdirSync(hierarchy.parent, { recursive: true });
      if (hierarchy.version === 2) handDown(hierarchy.parent, hierarchy.controllers);
      mkdirSync(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === 10) throw error;
    }
  }
}

function settings(hierarchy: Hierarchy, limits: Limits): [file: string, value: string][] {
  const quota = Math.ceil(limits.processors * periodMicroseconds);
  const tasks: [string, string] = ["pids.max", String(limits.tasks)];
  const all: Record<1 | 2, Record<Controller, [string, string][]>> = {
    1: {
      memory: [["memory.limit_in_bytes", String(limits.memoryBytes)]],
      cpu: [
        ["cpu.cfs_period_us", String(periodMicroseconds)],
        ["cpu.cfs_quota_us", String(quota)],
      ],
      pids: [tasks],
    },
    2: {
      memory: [["memory.max", String(limits.memoryBytes)]],
      cpu: [["cpu.max", `${quota} ${periodMicroseconds}`]],
      pids: [tasks],
    },
  };
  return hierarchy.controllers.flatMap((controller) => all[hierarchy.version][controller]);
}

/** True once the directory is gone; false while processes are in it. */
function removeEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EBUSY") return false;
    if (code !== "ENOENT") throw error;
  }
  return true;
}

async function killAll(directory: string): Promise<void> {
  try {
    return await fs.writeFile(join(directory, "cgroup.kill"), "1"); // all at once, since Linux 5.14
  } catch {
    // the old hierarchies have no such file
  }
  const text = await fs.readFile(join(directory, "cgroup.procs"), "utf8").catch(() => "");
  for (const pid of text.split("\n").filter((line) => line !== "")) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // it has ended by itself
    }
  }
}

/** Where this process is in each old hierarchy, by controller; proc_pid_cgroup: `id:controllers:path`. */
function parseOwnGroups(text: string): Map<string, string> {
  const lines = text.split("\n").map((line) => /^\d+:([^:]+):(.*)$/.exec(line));
  return new Map(
    lines.flatMap((match) => (match?.[1] ?? "").split(",").map((name) => [name, match?.[2] ?? "/"] as const)),
  );
}

/** A container sees only a part of a hierarchy, whose place in the whole is the mount's root. */
function within(root: string, path: string): string {
  return root !== "/" && path.startsWith(root) ? path.slice(root.length) : path;
}
