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
    const candidates = this.#candidates(choice);
    const statuses = await Promise.all(candidates.map((driver) => driver.status()));
    const best = statuses.find((status) => status.usable) ?? statuses[0];
    if (best === undefined) throw new Error(`there is no driver for ${choice}`);
    return best;
  }

  async choose(choice: VmmChoice): Promise<{ driver: VmmDriver; status: VmmStatus }> {
    const reasons: string[] = [];
    for (const driver of this.#candidates(choice)) {
      const status = await driver.status();
      if (status.usable) return { driver, status };
      reasons.push(status.reason);
    }
    throw new WorkfortError("vmm_unavailable", `no VMM can be used: ${reasons.join("; ")}`, {
      hint: "nexusctl doctor",
    });
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
