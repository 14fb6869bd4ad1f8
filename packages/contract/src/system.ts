import * as z from "zod";
import { StorageStatus } from "./image.ts";
import { NetworkStatus } from "./network.ts";
import { Accelerator, Confinement, VmmKind } from "./vm.ts";

export const Health = z.object({ status: z.enum(["ok", "stopping"]), version: z.string() });
export type Health = z.infer<typeof Health>;

/** what the daemon found out about a VMM on this host */
export const VmmStatus = z.object({
  kind: VmmKind,
  usable: z.boolean(),
  accelerator: Accelerator.nullable(),
  version: z.string().nullable(),
  binary: z.string().nullable(),
  reason: z.string().describe("why it is used so, or why it cannot be"),
  confinement: Confinement.nullable().describe("how it is held; null where it cannot be used"),
});
export type VmmStatus = z.infer<typeof VmmStatus>;

export const Status = z.object({
  version: z.string(),
  pid: z.int(),
  startedAt: z.int(),
  socket: z.string(),
  tcp: z.string().nullable().describe("host:port, null where it is off or every port was taken"),
  vmm: VmmStatus.describe("the VMM that `auto` takes"),
  kernel: z.string().nullable().describe("version of the guest kernel that new boots get"),
  vmCount: z.int(),
  runningCount: z.int(),
  memory: z.object({
    totalMiB: z.int().describe("of the host"),
    limitMiB: z.int().describe("what VMs may have in all"),
    committedMiB: z.int().describe("what the live VMs have, VMM overhead included"),
  }),
  storage: StorageStatus,
  network: NetworkStatus,
  database: z.string(),
  config: z.string().nullable().describe("the configuration file in use, null where there is none"),
  notices: z
    .array(z.string())
    .describe("what the daemon wants its user to know, for example that records were set aside"),
});
export type Status = z.infer<typeof Status>;

/** one line of `doctor` */
export const Check = z.object({
  name: z.string(),
  state: z.enum(["ok", "warning", "failed"]),
  detail: z.string(),
  fix: z.string().nullable().describe("the command that mends it"),
});
export type Check = z.infer<typeof Check>;
