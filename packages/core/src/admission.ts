/**
 * Whether the host can back one more VM's memory. Guest memory is promised in full: a VM that was admitted
 * never dies because another was admitted after it.
 */
export interface MemoryAsk {
  /** what VMs may have in all, MiB */
  limitMiB: number;
  /** what live VMs have, VMM overhead included, MiB */
  committedMiB: number;
  /** the guest's memory, MiB */
  memoryMiB: number;
  /** the VMM's own, MiB */
  overheadMiB: number;
}

/** Null if it fits, else the sum in words. */
export function refuseMemory(ask: MemoryAsk): string | null {
  const wanted = ask.memoryMiB + ask.overheadMiB;
  if (ask.committedMiB + wanted <= ask.limitMiB) return null;
  const free = Math.max(0, ask.limitMiB - ask.committedMiB);
  return (
    `it needs ${wanted} MiB (${ask.memoryMiB} for the guest and ${ask.overheadMiB} for the VMM), but of the ` +
    `${ask.limitMiB} MiB that VMs may have on this host ${ask.committedMiB} are taken and ${free} are free`
  );
}

/** The limit where none is configured: all memory but a tenth, at least 512 MiB, for the host itself. */
export function defaultLimitMiB(totalMiB: number): number {
  return Math.max(0, totalMiB - Math.max(512, Math.ceil(totalMiB / 10)));
}
