import type { Balloon } from "./bodies.ts";
import type { Call } from "./calls.ts";
import type { QmpLink } from "./qmp-link.ts";
import { Refusal } from "./refusal.ts";
import type { Vm } from "./vm.ts";

/** The balloon of a running VM: QEMU's own, which counts the memory that the guest keeps. */
const pagesPerMiB = 256;
const bytesPerMiB = 1024 * 1024;
/** of QEMU's object */
const path = "/machine/peripheral/balloon";
/** what the guest tells of its memory: Firecracker's names, in its order, and QEMU's */
const guestStatistics = {
  swap_in: "stat-swap-in",
  swap_out: "stat-swap-out",
  major_faults: "stat-major-faults",
  minor_faults: "stat-minor-faults",
  free_memory: "stat-free-memory",
  total_memory: "stat-total-memory",
  available_memory: "stat-available-memory",
  disk_caches: "stat-disk-caches",
  hugetlb_allocations: "stat-htlb-pgalloc",
  hugetlb_failures: "stat-htlb-pgfail",
};

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
      throw new Refusal(`Balloon update error: Balloon: Requested memory should be less than ${amountMiB}MiB`);
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
      ...(await toldByGuest(vm.guest.monitor)),
    });
  },
};

export const changeBalloonStatistics = (intervalS: number): Call => ({
  phase: "after",
  run: async (vm) => {
    const device = deviceOf(vm, "Balloon update error");
    if ((device.stats_polling_interval_s === 0) !== (intervalS === 0))
      throw new Refusal("Balloon update error: Balloon: Statistics cannot be enabled/disabled after activation.");
    device.stats_polling_interval_s = intervalS;
    await askForStatistics(vm.guest.monitor, intervalS);
  },
});

/** Has QEMU ask the guest every so many seconds; never for 0. */
export async function askForStatistics(monitor: QmpLink, intervalS: number): Promise<void> {
  await monitor.command("qom-set", { path, property: "guest-stats-polling-interval", value: intervalS });
}

/** Nothing before it has told anything. */
async function toldByGuest(monitor: QmpLink): Promise<Record<string, number>> {
  const told = (await monitor.command("qom-get", { path, property: "guest-stats" })) as {
    stats: Record<string, number>;
    "last-update": number;
  };
  if (told["last-update"] === 0) return {};
  return Object.fromEntries(Object.entries(guestStatistics).map(([name, own]) => [name, told.stats[own] ?? 0]));
}

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
