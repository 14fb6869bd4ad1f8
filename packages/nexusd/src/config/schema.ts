import { MemoryMiB, VcpuCount, VmmChoice } from "@workfort/contract";
import * as z from "zod";

const AbsolutePath = z.string().startsWith("/", "an absolute path");

/** `nexus.yaml`; every key may be left out */
export const Config = z.strictObject({
  api: z
    .strictObject({
      listen: z
        .string()
        .regex(
          /^(off|(\d{1,3}(\.\d{1,3}){3}|localhost|\[[0-9a-fA-F:]+\]):\d{1,5})$/,
          "off, or address:port such as 127.0.0.1:9600",
        )
        .optional()
        .describe(
          "TCP address; by default 127.0.0.1 and the first free port from 9600 on; the Unix socket is always there",
        ),
    })
    .prefault({}),
  storage: z
    .strictObject({
      directory: AbsolutePath.optional().describe("where disks live, on btrfs; by default $XDG_DATA_HOME/nexus"),
    })
    .prefault({}),
  vm: z
    .strictObject({
      vcpuCount: VcpuCount.default(1),
      memoryMiB: MemoryMiB.default(512),
    })
    .prefault({}),
  vmm: z
    .strictObject({
      qemu: AbsolutePath.optional().describe("the QEMU program; by default the one on PATH"),
      default: VmmChoice.default("auto").describe("what `auto` means for VMs that do not choose"),
    })
    .prefault({}),
  memory: z
    .strictObject({
      limitMiB: z
        .int()
        .min(0)
        .max(64 * 1_048_576)
        .optional()
        .describe("what VMs may have in all; by default all memory but a tenth, at least 512 MiB"),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(["debug", "info", "warn", "error"]).default("info"),
    })
    .prefault({}),
});
export type Config = z.infer<typeof Config>;
