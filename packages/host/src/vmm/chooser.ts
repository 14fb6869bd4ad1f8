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
    const { chosen, statuses } = await this.#look(choice);
    const best = chosen ?? statuses[0];
    if (best === undefined) throw new Error(`there is no driver for ${choice}`);
    return best;
  }

  async choose(choice: VmmChoice): Promise<{ driver: VmmDriver; status: VmmStatus }> {
    const { chosen, statuses } = await this.#look(choice);
    if (chosen !== null) return { driver: this.driver(chosen.kind), status: chosen };
    throw new WorkfortError(
      "vmm_unavailable",
      `no VMM can be used: ${statuses.map(({ reason }) => reason).join("; ")}`,
      { hint: "nexusctl doctor" },
    );
  }

  /** All that a choice allows, and the first that works, with why those before it do not. */
  async #look(choice: VmmChoice): Promise<{ chosen: VmmStatus | null; statuses: VmmStatus[] }> {
    const statuses = await Promise.all(this.#candidates(choice).map((driver) => driver.status()));
    const at = statuses.findIndex((status) => status.usable);
    const found = statuses[at];
    if (found === undefined) return { chosen: null, statuses };
    const passedOver = statuses.slice(0, at).map((status) => status.reason);
    return { chosen: { ...found, reason: [found.reason, ...passedOver].join("; ") }, statuses };
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
