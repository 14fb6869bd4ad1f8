import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { WorkfortError } from "@workfort/contract";
import type { Confinement } from "../confinement/confinement.ts";
import { removeRun } from "../confinement/held.ts";
import { reachOf } from "../confinement/reach.ts";
import { runPaths } from "../paths.ts";
import {
  Keeper,
  KeeperError,
  startKeeper,
  type Endowment,
  type KeeperStarted,
  type Reach,
  type VmmStatus,
} from "../process/keeper.ts";
import type { Manner } from "./kept-run.ts";
import { plainWords } from "./plain-words.ts";

/**
 * What every VMM's start and adoption have in common: it runs behind a keeper in a directory of its own, and a start
 * that fails leaves neither.
 */
const consoleRingBytes = 256 * 1024;
const killBoundMs = 10_000;
/** between a VMM's socket breaking off and its end, ms */
const lastWordsMs = 1_000;

/** all that a VMM gets of the daemon's environment: neither its readiness socket nor anything that may be a secret */
const inherited = Object.fromEntries(
  ["PATH", "LD_LIBRARY_PATH"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  }),
);

export interface KeptStart {
  manner: Manner;
  keeperProgram: string;
  confinement: Confinement;
  vmName: string;
  directory: string;
  /** what keeper and VMM may use together */
  limits: { memoryMiB: number; vcpuCount: number };
  /** the VMM's program and arguments */
  argv: readonly [string, ...string[]];
  /** what it opens for its guest, beside its own directory; null where a jail of its own holds it */
  files: Reach | null;
  /** in which the VMM runs, since its interface is there; null where it has none */
  namespaces: { network: string; user: string | null } | null;
  /** the directory that its jail is made in, which goes with the run, and what it gets there; null where it has none */
  jail: { directory: string; root: string; endowment: Endowment; make(): void } | null;
  /** whether it writes a log beside its standard streams */
  hasLog: boolean;
  /** Makes what is to lie in the VMM's own directory. */
  prepare?(): void;
  /** Resolves when the VMM has been told everything and its guest runs. */
  bringUp(signal: AbortSignal): Promise<void>;
}

/** Starts a VMM behind a new keeper and brings its guest up; rejects with `vmm_failed`, in the VMM's own words where it has some. */
export async function startKept(
  start: KeptStart,
  signal: AbortSignal,
): Promise<{ keeper: Keeper; started: KeeperStarted }> {
  const { directory, manner } = start;
  const keeper = new Keeper(runPaths(directory).keeper);
  const hasLeftovers = existsSync(directory);
  if (hasLeftovers) await refuseLiving(directory);
  try {
    if (hasLeftovers) await removeRun(directory);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    signal.throwIfAborted();
    const started = await startHeld(start);
    await bringUpOrEnd(start, keeper, signal);
    return { keeper, started };
  } catch (error) {
    await undoStart(keeper, directory);
    if (error instanceof WorkfortError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new WorkfortError("vmm_failed", `${manner.title} could not be started for VM "${start.vmName}": ${why}`, {
      cause: error,
      hint: "nexusctl doctor",
    });
  }
}

/** Starts the keeper where the run is held. */
async function startHeld(start: KeptStart): Promise<KeeperStarted> {
  const { directory, confinement, vmName, limits, jail, argv, files, namespaces } = start;
  const { launcher, cgroups } = await confinement.hold({
    directory,
    description: `WorkFort VM ${vmName}`,
    limits,
    jail: jail?.directory ?? null,
    env: inherited,
  });
  const { keeper: socketPath, vmm, log } = runPaths(directory);
  if (jail === null) mkdirSync(vmm, { mode: 0o700 });
  else {
    jail.make();
    symlinkSync(jail.root, vmm);
  }
  start.prepare?.();
  const reach =
    files !== null && (await confinement.hasLandlock())
      ? await reachOf(argv[0], { read: files.read, write: [vmm, ...files.write] })
      : null;
  return await startKeeper({
    program: start.keeperProgram,
    socketPath,
    consoleBytes: consoleRingBytes,
    launcher,
    cgroups,
    ...(start.hasLog ? { log } : {}),
    ...(reach === null ? {} : { reach }),
    // a jailer needs root's to make its jail, and gives them up; nobody else has any to lose
    ...(jail === null ? { noCapabilities: process.getuid?.() === 0 } : { endowment: jail.endowment }),
    ...(namespaces === null ? {} : { namespaces }),
    // a service gets it by its launcher, which needs the daemon's own
    ...(launcher.length > 0 ? {} : { env: inherited }),
    argv,
  });
}

/** The keeper of a run and what it says; null, and the directory gone, where nothing of the run lives. */
export async function findKept(directory: string): Promise<{ keeper: Keeper; status: VmmStatus } | null> {
  const keeper = new Keeper(runPaths(directory).keeper);
  try {
    return { keeper, status: await keeper.status() };
  } catch (error) {
    if (!(error instanceof KeeperError) || error.code !== "unreachable") throw error;
    // nobody listens: what lives, if anything, is a jailed VMM, which does not die with its keeper
    await removeRun(directory);
    return null;
  }
}

/** Ends a VMM and removes everything of its run. */
export async function undoStart(keeper: Keeper, directory: string): Promise<void> {
  try {
    await keeper.signal("SIGKILL").catch(() => {});
    await keeper.waitForEnd(AbortSignal.timeout(killBoundMs));
    await keeper.release();
  } catch {
    // no keeper: it failed before it served
  }
  await removeRun(directory);
}

async function bringUpOrEnd(start: KeptStart, keeper: Keeper, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const ended = keeper.waitForEnd(over.signal).then(async (end) => {
    const { manner } = start;
    const said = plainWords(manner.lastWords(await keeper.errorOutput()));
    const meaning = end.exitCode === null ? null : manner.explainExit(end.exitCode);
    const how = end.signal ?? `code ${end.exitCode}${meaning === null ? "" : `, ${meaning}`}`;
    throw new WorkfortError("vmm_failed", `${manner.title} ended at once (${how})${said === "" ? "" : `: ${said}`}`, {
      hint: "nexusctl doctor",
    });
  });
  const up = start.bringUp(AbortSignal.any([signal, over.signal]));
  try {
    await Promise.race([up, ended]);
  } catch (error) {
    // a socket breaks off because its VMM is ending: how it ended says more
    if (!(error instanceof WorkfortError) && !signal.aborted) await Promise.race([ended, delay(lastWordsMs)]);
    throw error;
  } finally {
    over.abort();
    await Promise.allSettled([up, ended]); // or it would meet the VMM of the next start
  }
}

/** What lies in the directory is removed, so it must be certain that nobody listens on its keeper's socket. */
async function refuseLiving(directory: string): Promise<void> {
  const alive = await new Keeper(runPaths(directory).keeper).status().then(
    () => true,
    (error: unknown) => !(error instanceof KeeperError && error.code === "unreachable"),
  );
  if (alive)
    throw new WorkfortError("vmm_failed", `another VMM still uses ${directory}`, {
      hint: "restart nexusd: it finds and settles what is left of earlier runs",
    });
}
