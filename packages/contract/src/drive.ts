import * as z from "zod";
import { exactly, hostPath, says, trueOrFalse, wholeNumber } from "./fields.ts";
import { DriveId, Name, Reference, VmId } from "./names.ts";

/** of a drive that is made empty, where nothing else is asked for */
export const defaultDriveBytes = 10 * 1024 ** 3;

export const DriveBytes = wholeNumber(32 * 1024 ** 2, 16 * 1024 ** 4, "bytes");

/** how much a VM may read and write in all */
export const RateLimit = z.object({
  bytesPerSecond: z.int().nullable(),
  operationsPerSecond: z.int().nullable(),
});
export type RateLimit = z.infer<typeof RateLimit>;

/** which VM a drive is attached to, and how */
export const DriveAttachment = z.object({
  vmId: VmId,
  vmName: Name,
  mountPath: z.string().nullable().describe("directory in the guest; null for a bare device"),
  readOnly: z.boolean(),
  rateLimit: RateLimit.nullable(),
});
export type DriveAttachment = z.infer<typeof DriveAttachment>;

/** a data drive: a disk of its own, beside the workspace that a VM boots from */
export const Drive = z.object({
  id: DriveId,
  name: Name,
  sizeBytes: z.int().describe("size of the disk the guest sees"),
  source: z
    .string()
    .nullable()
    .describe("directory, or name of the drive, that it was made from; null for one that was made empty"),
  attachment: DriveAttachment.nullable(),
  createdAt: z.int().describe("Unix ms"),
});
export type Drive = z.infer<typeof Drive>;

/** a drive with what it holds on disk; counting reads the file's extent map */
export const DriveDetail = Drive.extend({
  sharedBytes: z.int().describe("bytes on disk shared with the drive it is a snapshot of, or with snapshots of it"),
  exclusiveBytes: z.int().describe("bytes on disk that only this drive holds"),
});
export type DriveDetail = z.infer<typeof DriveDetail>;

export const CreateDrive = exactly({
  name: Name,
  sizeBytes: DriveBytes.optional().describe(
    "by default 10 GiB; of a drive made from a directory its content and half as much again",
  ),
  from: hostPath().optional().describe("absolute path of a directory on the daemon's machine, to be copied into it"),
  snapshotOf: Reference.optional().describe("drive that it is to be a copy-on-write snapshot of"),
})
  .refine((body) => body.from === undefined || body.snapshotOf === undefined, {
    path: ["from"],
    message: "give `from` or `snapshotOf`, not both",
  })
  .refine((body) => body.sizeBytes === undefined || body.snapshotOf === undefined, {
    path: ["sizeBytes"],
    message: "a snapshot has the size of its source; resize it afterwards",
  });
export type CreateDrive = z.infer<typeof CreateDrive>;

/** longest path of a mount point, bytes */
export const maxMountPathBytes = 200;
/** what the agent needs for itself; a drive mounted there would leave no system */
const kernelDirectories = new Set(["dev", "proc", "sys"]);

const mountPathAllowed = says(
  `must be an absolute path in the guest, of at most ${maxMountPathBytes} bytes, without . and .., not / and not in /dev, /proc or /sys`,
);

function isMountPath(path: string): boolean {
  const parts = partsOf(path);
  return (
    path.startsWith("/") &&
    path.isWellFormed() &&
    !path.includes("\0") &&
    new TextEncoder().encode(`/${parts.join("/")}`).length <= maxMountPathBytes &&
    parts.length > 0 &&
    !parts.some((part) => part === "." || part === "..") &&
    !kernelDirectories.has(parts[0] ?? "")
  );
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

export const MountPath = z
  .string(mountPathAllowed)
  .max(4096, { ...mountPathAllowed, abort: true })
  .refine(isMountPath, mountPathAllowed)
  .transform((path) => `/${partsOf(path).join("/")}`)
  .describe("absolute path of a directory in the guest, made if it is not there");

export const AttachDrive = exactly({
  vm: Reference.describe("VM, which must not run"),
  mountPath: MountPath.optional().describe(
    "where the guest mounts it when it boots; without it the drive is a bare device",
  ),
  readOnly: trueOrFalse().default(false),
  rateLimit: exactly({
    bytesPerSecond: wholeNumber(65_536, 1024 ** 4, "bytes per second").optional(),
    operationsPerSecond: wholeNumber(10, 10_000_000, "operations per second").optional(),
  })
    .optional()
    .describe("bounds of reading and writing together"),
});
export type AttachDrive = z.infer<typeof AttachDrive>;

export const ResizeDrive = exactly({
  sizeBytes: DriveBytes.describe("no smaller than it is; its file system grows with it"),
});
export type ResizeDrive = z.infer<typeof ResizeDrive>;

/** a drive as its VM has it */
export const VmDrive = z.object({
  id: DriveId,
  name: Name,
  device: z.string().describe("its device in the guest, for example `vdb`"),
  mountPath: z.string().nullable().describe("null for a bare device"),
  readOnly: z.boolean(),
});
export type VmDrive = z.infer<typeof VmDrive>;
