import { chownSync, promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WorkfortError, type VmmStatus } from "@workfort/contract";
import {
  bareId,
  type Kernel,
  type Kernels,
  type RunFacts,
  type VmmDriver,
  type VmmRun,
  type VmmStep,
  type VmSpec,
} from "@workfort/core";
import * as z from "zod";
import type { Confinement } from "../../confinement/confinement.ts";
import { endowmentOf, findJailer, jailedCommand, jailOf, makeJail } from "../../confinement/jailer.ts";
import { filesOf } from "../../confinement/reach.ts";
import type { Reach } from "../../process/keeper.ts";
import { makeFifo } from "../../native/libc.ts";
import { runPaths, type Paths } from "../../paths.ts";
import { KeptRun, type Door } from "../kept-run.ts";
import { findKept, startKept, undoStart, type KeptStart } from "../kept-vmm.ts";
import { probeKvm } from "../kvm-probe.ts";
import { absence, findProgram } from "../../process/find-program.ts";
import { plainWords } from "../plain-words.ts";
import { FirecrackerApi } from "./api.ts";
import { bringUp } from "./bring-up.ts";
import { probeConfiguration } from "./configuration.ts";
import { manner } from "./manner.ts";
import { MetricsFeed } from "./metrics-feed.ts";
import { hostPlaces, jailedFiles, jailPlaces, type Places } from "./places.ts";
import { firecrackerVersion, refuseVersion } from "./version.ts";
import { openVsock } from "./vsock.ts";

/**
 * Firecracker, one process a VM, each behind a keeper.
 *
 * A run is a directory of sockets: the keeper's, Firecracker's API and its vsock. Firecracker is told everything
 * through its API and then boots; `start` leaves either a booting VM or nothing.
 */
/** resident beside guest memory: its specification says at most 5 MiB for one vCPU; more for page tables, MiB */
const programMiB = 16;

interface Needs {
  paths: Paths;
  keeperProgram: string;
  confinement: Confinement;
  configuredBinary: string | null;
  kernels: Kernels;
  hostBootId: string;
}

export class FirecrackerDriver implements VmmDriver {
  readonly kind = "firecracker";
  readonly #needs: Needs;
  #status: Promise<VmmStatus> | null = null;
  #jail: ReturnType<typeof findJailer> | null = null;

  constructor(needs: Needs) {
    this.#needs = needs;
  }

  async status(options: { refresh?: boolean } = {}): Promise<VmmStatus> {
    if (this.#status === null || options.refresh === true) {
      this.#jail = null;
      this.#status = this.#look(options.refresh ?? false);
    }
    const status = await this.#status;
    if (!status.usable) this.#status = null; // what is missing may come
    return status;
  }

  overheadMiB(): Promise<number> {
    return Promise.resolve(programMiB);
  }

  async start(spec: VmSpec, hooks: { onStep(step: VmmStep): void; signal: AbortSignal }): Promise<VmmRun> {
    const { binary, version, reason, usable, confinement } = await this.status();
    if (!usable || binary === null || version === null || confinement === null)
      throw new WorkfortError("vmm_unavailable", reason, { hint: "nexusctl doctor" });
    hooks.onStep("spawn");
    const jail = await this.#findJail(binary, version);
    const place = "jailer" in jail ? await this.#jailed(spec, binary, jail.jailer) : openly(spec, binary);
    const { keeper, started } = await startKept(
      {
        manner,
        keeperProgram: this.#needs.keeperProgram,
        confinement: this.#needs.confinement,
        vmName: spec.name,
        directory: spec.directory,
        limits: { memoryMiB: spec.memoryMiB + programMiB, vcpuCount: spec.vcpuCount },
        argv: place.argv,
        files: place.files,
        namespaces: spec.network?.namespaces ?? null,
        jail: place.jail,
        hasLog: true,
        prepare: () => {
          const { metrics } = runPaths(spec.directory);
          makeFifo(metrics);
          if (place.jail !== null) chownSync(metrics, place.jail.endowment.user, place.jail.endowment.user);
        },
        bringUp: (signal) => bringUp(spec, place.places, (step) => hooks.onStep(step), signal),
      },
      hooks.signal,
    ).catch((error: unknown) => {
      this.#status = null; // the program may have become another
      throw error;
    });
    const facts: RunFacts = {
      hostBootId: this.#needs.hostBootId,
      directory: spec.directory,
      ...started,
      vmm: { kind: this.kind, accelerator: "kvm", reason, pid: started.vmmPid, confinement },
      committedMiB: 0,
    };
    return new KeptRun(facts, keeper, manner, doorOf(spec.directory));
  }

  async adopt(directory: string, facts: RunFacts | null): Promise<VmmRun | null> {
    const found = await findKept(directory);
    if (found === null) return null;
    const { keeper, status } = found;
    const door = doorOf(directory);
    if (facts === null && status.state === "running" && !(await hasBooted(directory))) {
      await undoStart(keeper, directory);
      return null;
    }
    const pid = status.state === "running" ? status.vmmPid : 0;
    const { reason } = await this.status();
    const confinement = await this.#needs.confinement.ofRun(directory);
    const known = facts ?? {
      hostBootId: this.#needs.hostBootId,
      directory,
      keeperPid: 0,
      vmmPid: pid,
      vmmStartTime: status.state === "running" ? status.vmmStartTime : 0,
      vmm: { kind: this.kind, accelerator: "kvm", reason, pid, confinement },
      committedMiB: 0,
    };
    return new KeptRun(known, keeper, manner, door);
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
    const binary = await findProgram("firecracker", this.#needs.configuredBinary);
    if (binary === null)
      return { ...absent, reason: await absence("Firecracker", "firecracker", this.#needs.configuredBinary) };
    let version: string;
    try {
      version = await firecrackerVersion(binary);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { ...absent, binary, reason: `Firecracker does not run: ${plainWords(why)}` };
    }
    const refusal = refuseVersion(version);
    if (refusal !== null) return { ...absent, binary, version, reason: `Firecracker ${refusal}` };
    const kvm = await this.#probe(binary, version, refresh);
    const jail = await this.#findJail(binary, version);
    const trouble = "trouble" in jail ? jail.trouble : null;
    return {
      kind: this.kind,
      usable: kvm.usable,
      accelerator: kvm.usable ? "kvm" : null,
      version,
      binary,
      confinement: await this.#needs.confinement.describe({ used: trouble === null, trouble }),
      reason: kvm.usable
        ? `Firecracker ${version}: ${kvm.reason}`
        : `Firecracker ${version} cannot be used: ${kvm.reason}`,
    };
  }

  async #findJail(binary: string, version: string): Promise<{ jailer: string } | { trouble: string }> {
    const { confinement, paths } = this.#needs;
    if (!confinement.keepsFiles) return { trouble: "vmm.confine is false" };
    // a jailed VMM does not die with its keeper
    if (!(await confinement.canEndAll())) return { trouble: "the jailer is used only where control groups are" };
    return await (this.#jail ??= findJailer(binary, version, paths.jails));
  }

  /** A run in a jail, whose file system is the VMM's own directory. */
  async #jailed(spec: VmSpec, binary: string, jailer: string): Promise<Place> {
    const id = bareId(spec.id);
    const jail = await jailOf(this.#needs.paths.jails, binary, id, spec.cid);
    const files = jailedFiles(spec);
    const places = jailPlaces(spec);
    return {
      places,
      argv: jailedCommand({
        jail,
        jailer,
        firecracker: binary,
        id,
        arguments: commonArguments(places),
      }),
      files: null,
      jail: {
        ...jail,
        endowment: endowmentOf(jail, files, spec.network?.tap ?? null),
        make: () => makeJail(jail, files),
      },
    };
  }

  async #probe(binary: string, version: string, refresh: boolean): ReturnType<typeof probeKvm> {
    const directory = await fs.mkdtemp(join(tmpdir(), "workfort-probe-"));
    try {
      return await probeKvm({
        title: manner.title,
        binary,
        version,
        kernel: await this.#needs.kernels.current().catch(() => null),
        hostBootId: this.#needs.hostBootId,
        cacheFile: this.#needs.paths.vmmProbeFile(this.kind),
        refresh,
        argumentsFor: (kernel) => probeArguments(directory, kernel),
      });
    } finally {
      await fs.rm(directory, { recursive: true, force: true });
    }
  }
}

/** how a run is started, and where it sees its things */
interface Place {
  places: Places;
  argv: [string, ...string[]];
  files: Reach | null;
  jail: KeptStart["jail"];
}

function openly(spec: VmSpec, binary: string): Place {
  const places = hostPlaces(spec);
  const argv: Place["argv"] = [binary, "--id", bareId(spec.id), ...commonArguments(places)];
  return { places, argv, files: filesOf(spec), jail: null };
}

/** Its log goes into the keeper's bounded ring, and apart from the guest's console; its boot timer is information. */
function commonArguments({ api, log }: Places): string[] {
  return ["--api-sock", api, "--log-path", log, "--level", "Info", "--show-level", "--boot-timer"];
}

async function probeArguments(directory: string, kernel: Kernel): Promise<string[]> {
  const file = join(directory, "config.json");
  await fs.writeFile(file, JSON.stringify(probeConfiguration(kernel)));
  return ["--no-api", "--config-file", file];
}

const Description = z.object({ state: z.string() });

/** A daemon that died before it wrote down a run may have died before the guest was booted, too. */
async function hasBooted(directory: string): Promise<boolean> {
  const { state } = await describe(directory).catch(() => ({ state: "Not started" }));
  return state !== "Not started";
}

async function describe(directory: string): Promise<{ state: string }> {
  return await withApi(directory, async (api) => Description.parse(await api.call("GET", "/")));
}

async function withApi<T>(
  directory: string,
  use: (api: FirecrackerApi) => Promise<T>,
  signal = new AbortController().signal,
): Promise<T> {
  const api = new FirecrackerApi(runPaths(directory).api, signal);
  try {
    return await use(api);
  } finally {
    api.close();
  }
}

function doorOf(directory: string): Door {
  const changeTo = (state: "Paused" | "Resumed"): Promise<void> =>
    withApi(directory, async (api) => void (await api.call("PATCH", "/vm", { state })));
  const feed = new MetricsFeed(runPaths(directory).metrics);
  return {
    openChannel: (signal) => openVsock(runPaths(directory).vsock, signal),
    pressCtrlAltDel: (signal) =>
      withApi(
        directory,
        async (api) => void (await api.call("PUT", "/actions", { action_type: "SendCtrlAltDel" })),
        signal,
      ),
    pause: () => changeTo("Paused"),
    resume: () => changeTo("Resumed"),
    isPaused: async () => (await describe(directory)).state === "Paused",
    disks: (signal) =>
      feed.read(
        () =>
          withApi(
            directory,
            async (api) => void (await api.call("PUT", "/actions", { action_type: "FlushMetrics" })),
            signal,
          ),
        signal,
      ),
  };
}
