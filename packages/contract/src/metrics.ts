import * as z from "zod";
import { Name, VmId } from "./names.ts";
import { VmNetworkCounters } from "./network.ts";

const count = (what: string) => z.number().int().nonnegative().describe(what);

/** what a disk has done since its VM was started, as its VMM counts it */
export const DiskMetrics = z.object({
  readBytes: count("bytes read by the guest"),
  writtenBytes: count("bytes written by the guest"),
  reads: count("read operations"),
  writes: count("write operations"),
  flushes: count("flushes: the guest's own word that something must be on the medium"),
});
export type DiskMetrics = z.infer<typeof DiskMetrics>;

/** what a VM's VMM uses of the host; its guest is not asked */
export const VmMetrics = z.object({
  id: VmId,
  name: Name,
  processorSeconds: z
    .number()
    .nonnegative()
    .describe("processor time of the VMM since its start, the guest's included"),
  residentBytes: count("memory of the host that the VMM has now, the guest's included"),
  disks: z
    .array(z.object({ name: z.string().describe("the drive's, or `root` for the workspace"), ...DiskMetrics.shape }))
    .nullable()
    .describe("in the order of their devices; null where the VMM has not answered in time"),
  network: VmNetworkCounters.nullable().describe("null while it has no interface, or they cannot be read in time"),
});
export type VmMetrics = z.infer<typeof VmMetrics>;
