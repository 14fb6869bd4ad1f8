import { promises as fs } from "node:fs";
import { join } from "node:path";
import { runTool, ToolError } from "../process/run.ts";
import { ranOutOfMemory } from "./cgroup.ts";
import type { Limits } from "./group.ts";

/** Transient services of systemd: the system's manager for root, the user's own for anybody else. */
export type Manager = "system" | "user";

const toolBoundMs = 20_000;
/** `systemctl stop`: there is no such unit */
const noSuchUnit = 5;
const descriptors = 4096;

export function ownManager(): Manager {
  return process.getuid?.() === 0 ? "system" : "user";
}

/** Null where systemd starts services for us, else why not; found out by having one started. */
export async function systemdTrouble(manager: Manager): Promise<string | null> {
  const booted = await fs.stat("/run/systemd/system").then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!booted) return "systemd does not run this host";
  try {
    await runTool([...systemdRun(manager), "--wait", "--", "true"], { timeoutMs: toolBoundMs });
    return null;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return `systemd's ${manager} manager starts no service: ${why}`;
  }
}

/** The words before a program that make it a service with its limits; its streams stay the caller's. */
export function serviceWords(about: {
  manager: Manager;
  unit: string;
  description: string;
  limits: Limits;
  env: Record<string, string>;
}): string[] {
  const { memoryBytes, processors, tasks } = about.limits;
  const properties = {
    MemoryMax: memoryBytes,
    CPUQuota: `${Math.ceil(processors * 100)}%`,
    TasksMax: tasks,
    // the kernel ends the VMM, and the keeper lives to tell of it
    OOMPolicy: "continue",
    // what is left when the keeper has gone is nobody's
    KillMode: "control-group",
    KillSignal: "SIGKILL",
    LimitNOFILE: descriptors,
    LimitCORE: 0,
    NoNewPrivileges: "yes",
    UMask: "0077",
  };
  return [
    ...systemdRun(about.manager),
    "--pipe",
    `--unit=${about.unit}`,
    `--description=${about.description}`,
    "--slice=workfort.slice",
    ...Object.entries(properties).map(([name, value]) => `--property=${name}=${value}`),
    ...Object.entries(about.env).map(([name, value]) => `--setenv=${name}=${value}`),
    "--",
  ];
}

/** Ends a service with all its processes; one that is gone already is fine. */
export async function endService(manager: Manager, unit: string): Promise<void> {
  await runTool([...systemctl(manager), "stop", unit], { okCodes: [0, noSuchUnit], timeoutMs: toolBoundMs });
}

export async function serviceRanOutOfMemory(manager: Manager, unit: string): Promise<boolean> {
  const shown = await runTool([...systemctl(manager), "show", "--property=ControlGroup", "--value", unit], {
    timeoutMs: toolBoundMs,
  }).catch((error: unknown) => {
    if (error instanceof ToolError) return { stdout: "" };
    throw error;
  });
  const group = shown.stdout.trim();
  if (group === "") return false;
  const [unified, old] = [join("/sys/fs/cgroup", group), join("/sys/fs/cgroup/memory", group)];
  return (await ranOutOfMemory(unified)) || (await ranOutOfMemory(old));
}

function systemdRun(manager: Manager): [string, ...string[]] {
  return ["systemd-run", `--${manager}`, "--quiet", "--collect"];
}

function systemctl(manager: Manager): [string, ...string[]] {
  return ["systemctl", `--${manager}`, "--quiet"];
}
