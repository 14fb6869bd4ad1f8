import { WorkfortError, type VmmChoice, type VmmKind, type VmmStatus } from "@workfort/contract";
import type { VmmChooser, VmmDriver } from "@workfort/core";

/** Picks the VMM for a VM: the one asked for, or the first that works, in order of preference. */
export class DriverChooser implements VmmChooser {
  readonly #drivers: readonly VmmDriver[];

  readonly #default: VmmChoice;

  /** `drivers` in order of preference; `byDefault` is what `auto` means */
  constructor(drivers: readonly VmmDriver[], byDefault: VmmChoice) {
    this.#drivers = drivers;
    this.#default = byDefault;
  }

  /** How the VMM that a choice leads to does; never fails. */
  async status(choice: VmmChoice): Promise<VmmStatus> {
    const statuses = await Promise.all(this.#candidates(choice).map((driver) => driver.status()));
    const chosen = statuses.findIndex((status) => status.usable);
    const best = statuses[Math.max(0, chosen)];
    if (best === undefined) throw new Error(`there is no driver for ${choice}`);
    const passedOver = statuses.slice(0, Math.max(0, chosen)).map((status) => status.reason);
    return { ...best, reason: [best.reason, ...passedOver].join("; ") };
  }

  async choose(choice: VmmChoice): Promise<{ driver: VmmDriver; status: VmmStatus }> {
    const status = await this.status(choice);
    if (status.usable) return { driver: this.driver(status.kind), status };
    const statuses = await Promise.all(this.#candidates(choice).map((driver) => driver.status()));
    throw new WorkfortError(
      "vmm_unavailable",
      `no VMM can be used: ${statuses.map(({ reason }) => reason).join("; ")}`,
      { hint: "nexusctl doctor" },
    );
  }

  #candidates(choice: VmmChoice): VmmDriver[] {
    const wanted = choice === "auto" ? this.#default : choice;
    return this.#drivers.filter((driver) => wanted === "auto" || driver.kind === wanted);
  }

  driver(kind: VmmKind): VmmDriver {
    const found = this.#drivers.find((driver) => driver.kind === kind);
    if (found === undefined) throw new Error(`there is no driver for ${kind}`);
    return found;
  }
}
