import type { Balloon } from "./bodies.ts";
import type { Call } from "./calls.ts";
import { Refusal } from "./refusal.ts";
import type { Vm } from "./vm.ts";

/** The balloon of a running VM: QEMU's own, which counts the memory that the guest keeps. */
const pagesPerMiB = 256;
const bytesPerMiB = 1024 * 1024;

export const describeBalloon: Call = {
  phase: "any",
  run: (vm) => {
    if (vm.balloon === null && !vm.hasBooted) throw new Refusal("Balloon config error: No balloon device found.");
    return JSON.stringify(deviceOf(vm, "Internal VMM error"));
  },
};

export const changeBalloon = (amountMiB: number): Call => ({
  phase: "after",
  run: async (vm) => {
    const device = deviceOf(vm, "Balloon update error");
    if (!vm.isGuestUp) throw new Refusal("Balloon update error: Balloon: Device not activated yet.");
    if (amountMiB > vm.machine.mem_size_mib)
      throw new Refusal("Balloon update error: Balloon: Amount of pages requested is too large.");
    await vm.guest.monitor.command("balloon", { value: (vm.machine.mem_size_mib - amountMiB) * bytesPerMiB });
    device.amount_mib = amountMiB;
  },
});

export const balloonStatistics: Call = {
  phase: "after",
  run: async (vm) => {
    const { amount_mib, stats_polling_interval_s } = deviceOf(vm, "Internal VMM error");
    if (stats_polling_interval_s === 0)
      throw new Refusal("Internal VMM error: Balloon: Received stats query when stats are disabled.");
    const { actual } = (await vm.guest.monitor.command("query-balloon")) as { actual: number };
    const actualMiB = vm.machine.mem_size_mib - Math.round(actual / bytesPerMiB);
    return JSON.stringify({
      target_pages: amount_mib * pagesPerMiB,
      actual_pages: actualMiB * pagesPerMiB,
      target_mib: amount_mib,
      actual_mib: actualMiB,
    });
  },
};

export const changeBalloonStatistics = (intervalS: number): Call => ({
  phase: "after",
  run: (vm) => {
    const device = deviceOf(vm, "Balloon update error");
    if ((device.stats_polling_interval_s === 0) !== (intervalS === 0))
      throw new Refusal("Balloon update error: Balloon: Statistics cannot be enabled/disabled after activation.");
    device.stats_polling_interval_s = intervalS;
  },
});

/** Hinting is known of and never there. */
export const balloonHinting: Call = {
  phase: "after",
  run: (vm) => {
    deviceOf(vm, "Balloon update error");
    throw new Refusal("Balloon update error: Balloon: Attempting to use hinting when not enabled");
  },
};

function deviceOf(vm: Vm, prefix: string): Balloon {
  if (vm.balloon === null) throw new Refusal(`${prefix}: Failed perform action on device: Device not found`);
  return vm.balloon;
}
