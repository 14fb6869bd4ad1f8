import { basename } from "node:path";
import type { Confinement as ConfinementStatus } from "@workfort/contract";
import { runTool } from "../process/run.ts";
import { cgroupPaths, findHierarchies, makeCgroup, type Hierarchy } from "./cgroup.ts";
import type { Group, Limits } from "./group.ts";
import { readHeld, writeHeld } from "./held.ts";
import { ownManager, serviceWords, systemdTrouble, type Manager } from "./systemd.ts";

/**
 * How the processes of VMs are held on this host, as far as it allows: together and within limits as a transient
 * service of systemd or in a control group of ours; away from the host's files by Landlock, or by Firecracker's jailer.
 */
/** keeper, kernel structures, and cached pages of disks beside what the VMM is known to need, MiB */
const spareMiB = 192;
/** the VMM's own threads do input and output beside the guest's processors */
const spareProcessors = 1;
/** threads: one a processor, and those of the VMM for disks, at most 64 in QEMU */
const tasks = 512;

type Grouping =
  | { kind: "systemd"; manager: Manager }
  | { kind: "cgroup"; hierarchies: Hierarchy[] }
  | { kind: "none"; trouble: string };

/** how a run is begun so that it is held from its first moment */
export interface Hold {
  /** words before the keeper's own */
  launcher: readonly string[];
  /** control groups that the keeper enters */
  cgroups: readonly string[];
}

export class Confinement {
  readonly #keeperProgram: string;
  /** false leaves VMMs all files that the daemon has */
  readonly #files: boolean;
  #grouping: Promise<Grouping> | null = null;
  #landlock: Promise<boolean> | null = null;

  constructor(options: { keeperProgram: string; files: boolean }) {
    this.#keeperProgram = options.keeperProgram;
    this.#files = options.files;
  }

  /** Whether files are kept from VMMs at all, by configuration. */
  get keepsFiles(): boolean {
    return this.#files;
  }

  /** Whether what is left of a run can be ended even where its keeper has died. */
  async canEndAll(): Promise<boolean> {
    return (await this.#group()).kind !== "none";
  }

  async hasLandlock(): Promise<boolean> {
    if (!this.#files) return false;
    this.#landlock ??= runTool([this.#keeperProgram, "--landlock"], { timeoutMs: 10_000 }).then(
      ({ stdout }) => Number(stdout) > 0,
    );
    return await this.#landlock;
  }

  /** What a VMM is held by; `jail` says whether its own jailer is used, and why not. */
  async describe(jail: { used: boolean; trouble: string | null }): Promise<ConfinementStatus> {
    const group = await this.#group();
    const landlock = await this.hasLandlock();
    const reasons = [
      group.kind === "none" ? `no limits of memory and processor time: ${group.trouble}` : null,
      jail.trouble,
      this.#files || jail.used ? null : "vmm.confine is false",
      this.#files && !landlock && !jail.used ? "the kernel has no Landlock" : null,
    ];
    return {
      group: group.kind,
      files: jail.used ? "jailer" : landlock ? "landlock" : "none",
      reason: reasons.filter((reason) => reason !== null).join("; "),
    };
  }

  /** What a run that was found again is held by. */
  async ofRun(directory: string): Promise<ConfinementStatus> {
    const held = await readHeld(directory);
    const files = held?.jail != null ? "jailer" : (await this.hasLandlock()) ? "landlock" : "none";
    return { group: held?.group.kind ?? "none", files, reason: "" };
  }

  /** Makes what holds a run, and writes it into its directory first. */
  async hold(about: {
    directory: string;
    /** of its service or control group; the directory's own where it is absent */
    name?: string;
    /** for those who look at services */
    description: string;
    limits: { memoryMiB: number; vcpuCount: number };
    jail: string | null;
    env: Record<string, string>;
  }): Promise<Hold> {
    const { directory, jail } = about;
    const grouping = await this.#group();
    const name = about.name ?? basename(directory);
    const limits: Limits = {
      memoryBytes: (about.limits.memoryMiB + spareMiB) * 1024 ** 2,
      processors: about.limits.vcpuCount + spareProcessors,
      tasks,
    };
    const held = (group: Group): void => writeHeld(directory, { group, jail });
    if (grouping.kind === "systemd") {
      const { manager } = grouping;
      const unit = `workfort-${name}.service`;
      held({ kind: "systemd", manager, unit });
      const { description, env } = about;
      return { launcher: serviceWords({ manager, unit, description, limits, env }), cgroups: [] };
    }
    if (grouping.kind === "cgroup") {
      const cgroups = cgroupPaths(grouping.hierarchies, name);
      held({ kind: "cgroup", directories: cgroups });
      await makeCgroup(grouping.hierarchies, name, limits);
      return { launcher: [], cgroups };
    }
    held({ kind: "none" });
    return { launcher: [], cgroups: [] };
  }

  async #group(): Promise<Grouping> {
    return await (this.#grouping ??= findGrouping());
  }
}

async function findGrouping(): Promise<Grouping> {
  const manager = ownManager();
  const trouble = await systemdTrouble(manager);
  if (trouble === null) return { kind: "systemd", manager };
  if (manager === "user") return { kind: "none", trouble };
  try {
    return { kind: "cgroup", hierarchies: await findHierarchies() };
  } catch (error) {
    return { kind: "none", trouble: `${trouble}; ${error instanceof Error ? error.message : String(error)}` };
  }
}
