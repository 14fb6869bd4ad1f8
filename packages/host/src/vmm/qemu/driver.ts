import { promises as fs } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { WorkfortError, type Accelerator, type VmmStatus } from "@workfort/contract";
import type { Kernels, RunFacts, VmmDriver, VmmRun, VmmStep, VmSpec } from "@workfort/core";
import { runPaths, type Paths } from "../../paths.ts";
import { Keeper, KeeperError, startKeeper } from "../../process/keeper.ts";
import { runTool } from "../../process/run.ts";
import { qemuArguments, translationCacheMiB } from "./arguments.ts";
import { findProgram, qemuName, qemuVersion } from "./binary.ts";
import { probeKvm } from "./kvm-probe.ts";
import { awaitGreeting } from "./qmp.ts";
import { QemuRun } from "./run.ts";

/**
 * QEMU's `microvm` machine, each behind a keeper.
 *
 * A run is a directory of sockets: the keeper's, the guest channel's and QEMU's own. `start` leaves either a booting
 * VM or nothing; `adopt` finds a run by its directory alone.
 */
const consoleRingBytes = 256 * 1024;
/** QEMU sets up its machine in well under a second; a busy host may take longer, ms */
const greetingBoundMs = 15_000;
const killBoundMs = 10_000;
/** between a QEMU's socket breaking off and its end, ms */
const lastWordsMs = 1_000;
/** resident beside guest memory and translated code, measured on QEMU 7.2, MiB */
const programMiB = 64;

/** all that a VMM gets of the daemon's environment: neither its readiness socket nor anything that may be a secret */
const inherited = Object.fromEntries(
  ["PATH", "LD_LIBRARY_PATH"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  }),
);

export class QemuDriver implements VmmDriver {
  readonly kind = "qemu";
  readonly #needs: {
    paths: Paths;
    keeperProgram: string;
    configuredBinary: string | null;
    kernels: Kernels;
    hostBootId: string;
  };
  #status: Promise<VmmStatus> | null = null;
  #measuredKhz: Promise<number | null> | null = null;

  constructor(needs: {
    paths: Paths;
    keeperProgram: string;
    configuredBinary: string | null;
    kernels: Kernels;
    hostBootId: string;
  }) {
    this.#needs = needs;
  }

  async status(options: { refresh?: boolean } = {}): Promise<VmmStatus> {
    if (this.#status === null || options.refresh === true) this.#status = this.#look(options.refresh ?? false);
    const status = await this.#status;
    if (!status.usable || status.reason.includes("not tried")) this.#status = null; // what is missing may come
    return status;
  }

  async overheadMiB(): Promise<number> {
    return programMiB + ((await this.status()).accelerator === "tcg" ? translationCacheMiB : 0);
  }

  async start(spec: VmSpec, hooks: { onStep(step: VmmStep): void; signal: AbortSignal }): Promise<VmmRun> {
    const { binary, accelerator, reason } = await this.#usable();
    hooks.onStep("spawn");
    await fs.mkdir(spec.directory, { recursive: true, mode: 0o700 });
    const sockets = runPaths(spec.directory);
    const keeper = new Keeper(sockets.keeper);
    try {
      await removeStaleSockets(spec.directory);
      hooks.signal.throwIfAborted();
      const started = await startKeeper({
        program: this.#needs.keeperProgram,
        socketPath: sockets.keeper,
        consoleBytes: consoleRingBytes,
        env: inherited,
        argv: [binary, ...qemuArguments(spec, accelerator, await this.#counterKhz(accelerator))],
      });
      hooks.onStep("vmm_api");
      await this.#awaitMachine(keeper, sockets.qmp, hooks.signal);
      const facts: RunFacts = {
        hostBootId: this.#needs.hostBootId,
        directory: spec.directory,
        ...started,
        vmm: { kind: "qemu", accelerator, reason, pid: started.vmmPid },
        committedMiB: 0,
      };
      return new QemuRun(facts, keeper);
    } catch (error) {
      await undoStart(keeper, spec.directory);
      throw explainStart(error, spec);
    }
  }

  async adopt(directory: string, facts: RunFacts | null): Promise<VmmRun | null> {
    const keeper = new Keeper(runPaths(directory).keeper);
    try {
      const status = await keeper.status();
      return new QemuRun(facts ?? (await this.#factsOf(directory, status.state === "running" ? status : null)), keeper);
    } catch (error) {
      if (!(error instanceof KeeperError) || error.code !== "unreachable") throw error;
      // a VMM dies with its keeper: nobody listens, so nothing lives
      await fs.rm(directory, { recursive: true, force: true });
      return null;
    }
  }

  async #look(refresh: boolean): Promise<VmmStatus> {
    const absent = { kind: this.kind, usable: false, accelerator: null, version: null, binary: null } as const;
    const binary = await findProgram(qemuName, this.#needs.configuredBinary);
    if (binary === null) {
      const where = this.#needs.configuredBinary ?? `${qemuName} on PATH`;
      return { ...absent, reason: `QEMU is not installed (looked for ${where})` };
    }
    let version: string;
    try {
      version = await qemuVersion(binary);
    } catch (error) {
      return {
        ...absent,
        binary,
        reason: `QEMU does not run: ${error instanceof Error ? error.message : String(error)}`,
      };
    }
    const kernel = await this.#needs.kernels.current().catch(() => null);
    const kvm = await probeKvm({
      binary,
      version,
      kernel,
      hostBootId: this.#needs.hostBootId,
      cacheFile: this.#needs.paths.vmmProbeFile,
      refresh,
    });
    if (!kvm.usable) void this.#counterKhz("tcg").catch(() => {}); // measured now, so that the first start does not wait
    return {
      kind: this.kind,
      usable: true,
      accelerator: kvm.usable ? "kvm" : "tcg",
      version,
      binary,
      reason: kvm.usable
        ? `QEMU ${version} with KVM: ${kvm.reason}`
        : `QEMU ${version} with software emulation: ${kvm.reason}`,
    };
  }

  async #usable(): Promise<{ binary: string; accelerator: Accelerator; reason: string }> {
    const { usable, binary, accelerator, reason } = await this.status();
    if (usable && binary !== null && accelerator !== null) return { binary, accelerator, reason };
    throw new WorkfortError("vmm_unavailable", reason, { hint: "nexusctl doctor" });
  }

  /** frequency of the host's time stamp counter, which an emulated guest sees as its own */
  async #counterKhz(accelerator: Accelerator): Promise<number | null> {
    if (accelerator !== "tcg") return null;
    this.#measuredKhz ??= runTool([this.#needs.keeperProgram, "--counter-khz"], { timeoutMs: 10_000 }).then(
      ({ stdout }) => (/^\d+$/.test(stdout.trim()) ? Number(stdout) : null),
    );
    return await this.#measuredKhz;
  }

  async #awaitMachine(keeper: Keeper, qmp: string, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const ended = keeper.waitForEnd(done.signal).then(async (end) => {
      const said = (await keeper.errorOutput()).trim().split("\n").at(-1) ?? "";
      throw new WorkfortError(
        "vmm_failed",
        `QEMU ended at once (${end.signal ?? `code ${end.exitCode}`})${said === "" ? "" : `: ${said}`}`,
        { hint: "nexusctl doctor" },
      );
    });
    try {
      await Promise.race([awaitGreeting(qmp, greetingBoundMs, signal), ended]);
    } catch (error) {
      // a socket breaks off because its QEMU is ending: how it ended says more
      if (!(error instanceof WorkfortError) && !signal.aborted) await Promise.race([ended, delay(lastWordsMs)]);
      throw error;
    } finally {
      done.abort();
      ended.catch(() => {});
    }
  }

  async #factsOf(directory: string, running: { vmmPid: number; vmmStartTime: number } | null): Promise<RunFacts> {
    const { accelerator, reason } = await this.status();
    const pid = running?.vmmPid ?? 0;
    return {
      hostBootId: this.#needs.hostBootId,
      directory,
      keeperPid: 0,
      vmmPid: pid,
      vmmStartTime: running?.vmmStartTime ?? 0,
      vmm: { kind: "qemu", accelerator: accelerator ?? "tcg", reason, pid },
      committedMiB: 0,
    };
  }
}

/** Sockets of an earlier run, once it is certain that nobody listens on its keeper's. */
async function removeStaleSockets(directory: string): Promise<void> {
  const sockets = runPaths(directory);
  const alive = await new Keeper(sockets.keeper).status().then(
    () => true,
    (error: unknown) => !(error instanceof KeeperError && error.code === "unreachable"),
  );
  if (alive)
    throw new WorkfortError("vmm_failed", `another VMM still uses ${directory}`, {
      hint: "restart nexusd: it finds and settles what is left of earlier runs",
    });
  for (const path of Object.values(sockets)) await fs.rm(path, { force: true });
}

async function undoStart(keeper: Keeper, directory: string): Promise<void> {
  try {
    await keeper.signal("SIGKILL").catch(() => {});
    await keeper.waitForEnd(AbortSignal.timeout(killBoundMs));
    await keeper.release();
  } catch {
    // no keeper: it failed before it served, and left nothing
  }
  await fs.rm(directory, { recursive: true, force: true });
}

function explainStart(error: unknown, spec: VmSpec): unknown {
  if (error instanceof WorkfortError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new WorkfortError("vmm_failed", `QEMU could not be started for VM "${spec.name}": ${message}`, {
    cause: error,
    hint: "nexusctl doctor",
  });
}
