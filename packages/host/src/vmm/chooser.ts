import { WorkfortError, type VmmChoice, type VmmKind, type VmmStatus } from "@workfort/contract";
import type { VmmChooser, VmmDriver } from "@workfort/core";

/** Picks the VMM for a VM: the one asked for, or the first that works, in order of preference. */
export class DriverChooser implements VmmChooser {
  readonly #drivers: readonly VmmDriver[];

  /** `drivers` in order of preference */
  constructor(drivers: readonly VmmDriver[]) {
    this.#drivers = drivers;
  }

  async choose(choice: VmmChoice): Promise<{ driver: VmmDriver; status: VmmStatus }> {
    const reasons: string[] = [];
    for (const driver of this.#drivers) {
      if (choice !== "auto" && driver.kind !== choice) continue;
      const status = await driver.status();
      if (status.usable) return { driver, status };
      reasons.push(status.reason);
    }
    throw new WorkfortError("vmm_unavailable", `no VMM can be used: ${reasons.join("; ")}`, { hint: "nexusctl doctor" });
  }

  driver(kind: VmmKind): VmmDriver {
    const found = this.#drivers.find((driver) => driver.kind === kind);
    if (found === undefined) throw new Error(`there is no driver for ${kind}`);
    return found;
  }
}
