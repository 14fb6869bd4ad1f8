import {
  WorkfortError,
  type Accelerator,
  type Confinement as ConfinementStatus,
  type VmmStatus,
} from "@workfort/contract";
import type { Kernels, RunFacts, VmmDriver, VmmRun, VmmStep, VmSpec } from "@workfort/core";
import type { Confinement } from "../../confinement/confinement.ts";
import { filesOf } from "../../confinement/reach.ts";
import * as z from "zod";
import { runPaths, type Paths } from "../../paths.ts";
import { runTool } from "../../process/run.ts";
import { connectToVmm } from "../../process/unix-socket.ts";
import { probeArguments, qemuArguments, translationCacheMiB } from "./arguments.ts";
import { qemuName, qemuVersion } from "./version.ts";
import { probeKvm } from "../kvm-probe.ts";
import { absence, findProgram } from "../../process/find-program.ts";
import { KeptRun, type Door, type Manner } from "../kept-run.ts";
import { findKept, startKept } from "../kept-vmm.ts";
import { disksIn } from "./block-statistics.ts";
import { openChannel } from "./hello.ts";
import { awaitGreeting, runQmp } from "./qmp.ts";

/**
 * QEMU's `microvm` machine, each behind a keeper.
 *
 * A run is a directory of sockets: the keeper's, the guest channel's and QEMU's own. `start` leaves either a booting
 * VM or nothing; `adopt` finds a run by its directory alone.
 */
/** QEMU sets up its machine in well under a second; a busy host may take longer, ms */
const greetingBoundMs = 15_000;
/** resident beside guest memory and translated code, measured on QEMU 7.2, MiB */
const programMiB = 64;

const ctrlAltDel = ["ctrl", "alt", "delete"].map((data) => ({ type: "qcode", data }));

const manner: Manner = {
  title: "QEMU",
  explainExit: () => null,
  lastWords: (errorOutput) => errorOutput.trim().split("\n").at(-1) ?? "",
  guestBootMs: () => null,
};

export class QemuDriver implements VmmDriver {
  readonly kind = "qemu";
  readonly #needs: {
    paths: Paths;
    keeperProgram: string;
    confinement: Confinement;
    configuredBinary: string | null;
    kernels: Kernels;
    hostBootId: string;
  };
  #status: Promise<VmmStatus> | null = null;
  #measuredKhz: Promise<number | null> | null = null;

  constructor(needs: {
    paths: Paths;
    keeperProgram: string;
    confinement: Confinement;
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

  async overheadMiB({ memoryMiB }: { memoryMiB: number }): Promise<number> {
    return programMiB + ((await this.status()).accelerator === "tcg" ? translationCacheMiB(memoryMiB) : 0);
  }

  async start(spec: VmSpec, hooks: { onStep(step: VmmStep): void; signal: AbortSignal }): Promise<VmmRun> {
    const { binary, accelerator, reason, confinement } = await this.#usable();
    hooks.onStep("spawn");
    const { keeper, started } = await startKept(
      {
        manner,
        keeperProgram: this.#needs.keeperProgram,
        confinement: this.#needs.confinement,
        vmName: spec.name,
        directory: spec.directory,
        limits: { memoryMiB: spec.memoryMiB + (await this.overheadMiB(spec)), vcpuCount: spec.vcpuCount },
        files: filesOf(spec),
        namespaces: spec.network?.namespaces ?? null,
        jail: null,
        hasLog: false,
        argv: [binary, ...qemuArguments(spec, accelerator, await this.#counterKhz(accelerator))],
        bringUp: async (signal) => {
          hooks.onStep("vmm_api");
          await awaitGreeting(runPaths(spec.directory).qmp, greetingBoundMs, signal);
        },
      },
      hooks.signal,
    );
    const facts: RunFacts = {
      hostBootId: this.#needs.hostBootId,
      directory: spec.directory,
      ...started,
      vmm: { kind: "qemu", accelerator, reason, pid: started.vmmPid, confinement },
      committedMiB: 0,
    };
    return new KeptRun(facts, keeper, manner, doorOf(spec.directory));
  }

  async adopt(directory: string, facts: RunFacts | null): Promise<VmmRun | null> {
    const found = await findKept(directory);
    if (found === null) return null;
    const { keeper, status } = found;
    const known = facts ?? (await this.#factsOf(directory, status.state === "running" ? status : null));
    return new KeptRun(known, keeper, manner, doorOf(directory));
  }

  async #look(refresh: boolean): Promise<VmmStatus> {
    const absent = {
      kind: this.kind,
      usable: false,
      accelerator: null,
      version: null,
      binary: null,
      confinement: null,
    } as const;
    const binary = await findProgram(qemuName, this.#needs.configuredBinary);
    if (binary === null) return { ...absent, reason: await absence("QEMU", qemuName, this.#needs.configuredBinary) };
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
      title: manner.title,
      binary,
      version,
      kernel,
      hostBootId: this.#needs.hostBootId,
      cacheFile: this.#needs.paths.vmmProbeFile(this.kind),
      refresh,
      argumentsFor: (guest) => Promise.resolve(probeArguments(guest)),
    });
    if (!kvm.usable) void this.#counterKhz("tcg").catch(() => {}); // measured now, so that the first start does not wait
    return {
      kind: this.kind,
      usable: true,
      accelerator: kvm.usable ? "kvm" : "tcg",
      version,
      binary,
      confinement: await this.#needs.confinement.describe({ used: false, trouble: null }),
      reason: kvm.usable
        ? `QEMU ${version} with KVM: ${kvm.reason}`
        : `QEMU ${version} with software emulation: ${kvm.reason}`,
    };
  }

  async #usable(): Promise<{
    binary: string;
    accelerator: Accelerator;
    reason: string;
    confinement: ConfinementStatus;
  }> {
    const { usable, binary, accelerator, reason, confinement } = await this.status();
    if (usable && binary !== null && accelerator !== null && confinement !== null)
      return { binary, accelerator, reason, confinement };
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

  async #factsOf(directory: string, running: { vmmPid: number; vmmStartTime: number } | null): Promise<RunFacts> {
    const { accelerator, reason } = await this.status();
    const pid = running?.vmmPid ?? 0;
    return {
      hostBootId: this.#needs.hostBootId,
      directory,
      keeperPid: 0,
      vmmPid: pid,
      vmmStartTime: running?.vmmStartTime ?? 0,
      vmm: {
        kind: "qemu",
        accelerator: accelerator ?? "tcg",
        reason,
        pid,
        confinement: await this.#needs.confinement.ofRun(directory),
      },
      committedMiB: 0,
    };
  }
}

const Status = z.object({ status: z.string() });

function doorOf(directory: string): Door {
  const { agent, qmp } = runPaths(directory);
  return {
    openChannel: (signal) => openChannel(() => connectToVmm(agent), signal),
    pressCtrlAltDel: async (signal) => void (await runQmp(qmp, "send-key", { keys: ctrlAltDel }, signal)),
    pause: async () => void (await runQmp(qmp, "stop")),
    resume: async () => void (await runQmp(qmp, "cont")),
    isPaused: async () => Status.parse(await runQmp(qmp, "query-status")).status === "paused",
    disks: async (signal) => disksIn(await runQmp(qmp, "query-blockstats", {}, signal)),
  };
}
