import { WorkfortError, type VmMetrics } from "@workfort/contract";
import type { Interfaces } from "./network/interfaces.ts";
import type { Store, VmmRun } from "./ports.ts";
import type { VmRecord } from "./records.ts";
import type { Supervisor } from "./supervisor.ts";

/** for one VMM to tell of its disks, ms; one that hangs holds nobody up for longer */
const answerBoundMs = 2_000;

/** What the VMMs of VMs use of the host, and what has passed their interfaces. */
export class Metrics {
  readonly #store: Store;
  readonly #supervisor: Supervisor;
  readonly #interfaces: Interfaces;

  constructor(needs: { store: Store; supervisor: Supervisor; interfaces: Interfaces }) {
    this.#store = needs.store;
    this.#interfaces = needs.interfaces;
    this.#supervisor = needs.supervisor;
  }

  /** Of one VM; refuses with `wrong_state` where it has no VMM. */
  async of(vm: VmRecord): Promise<VmMetrics> {
    const run = this.#supervisor.liveRun(vm.id);
    const found = run === null ? null : await this.#ask(vm, run);
    if (found !== null) return found;
    throw new WorkfortError("wrong_state", `VM "${vm.name}" is ${vm.state}: it has no VMM that could be measured`, {
      hint: `nexusctl vm start ${vm.name}`,
    });
  }

  /** Of all that have a VMM, asked at once. */
  async ofAll(): Promise<VmMetrics[]> {
    const asked = this.#store.listVms().map(async (vm) => {
      const run = this.#supervisor.liveRun(vm.id);
      return run === null ? null : await this.#ask(vm, run);
    });
    return (await Promise.all(asked)).filter((found) => found !== null);
  }

  /** Null where it has ended meanwhile. */
  async #ask({ id, name }: VmRecord, run: VmmRun): Promise<VmMetrics | null> {
    const names = ["root", ...this.#store.attachmentsOf(id).map(({ driveId }) => this.#driveName(driveId))];
    try {
      const [{ disks, ...usage }, network] = await Promise.all([
        run.metrics(AbortSignal.timeout(answerBoundMs)),
        this.#interfaces.counters(id),
      ]);
      const named = disks?.map((disk, index) => ({ name: names[index] ?? `disk${index}`, ...disk })) ?? null;
      return { id, name, ...usage, disks: named, network };
    } catch {
      return null;
    }
  }

  #driveName(id: string): string {
    return this.#store.findDrive(id)?.name ?? id;
  }
}
