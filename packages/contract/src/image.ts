import * as z from "zod";
import { exactly, hostPath, wholeNumber } from "./fields.ts";
import { ImageId, Name, Reference, VmId, WorkspaceId } from "./names.ts";

/** a read-only root disk that workspaces are made from */
export const Image = z.object({
  id: ImageId,
  name: Name,
  sizeBytes: z.int().describe("size of the disk the guest sees"),
  usedBytes: z.int().describe("bytes of it that hold data"),
  source: z.string().describe("what it was imported from"),
  workspaceCount: z.int().describe("workspaces made from it that exist"),
  createdAt: z.int(),
});
export type Image = z.infer<typeof Image>;

export const ImportImage = exactly({
  name: Name,
  source: hostPath().describe("absolute path of a directory or of an ext4 file on the daemon's machine"),
  sizeBytes: wholeNumber(16 * 1024 ** 2, 16 * 1024 ** 4, "bytes")
    .optional()
    .describe("size of the disk made from a directory; by default its content and half as much again"),
});
export type ImportImage = z.infer<typeof ImportImage>;

/** a writable copy-on-write snapshot of a master image: the root disk of one VM */
export const Workspace = z.object({
  id: WorkspaceId,
  name: Name,
  imageId: ImageId.nullable(),
  imageName: Name.nullable(),
  vmId: VmId.nullable().describe("the VM that uses it"),
  vmName: Name.nullable(),
  createdAt: z.int(),
});
export type Workspace = z.infer<typeof Workspace>;

/** a workspace with what it holds on disk; counting reads the file's extent map */
export const WorkspaceDetail = Workspace.extend({
  sizeBytes: z.int().describe("size of the disk the guest sees"),
  sharedBytes: z.int().describe("bytes on disk shared with its image or other workspaces"),
  exclusiveBytes: z.int().describe("bytes on disk that only this workspace holds"),
});
export type WorkspaceDetail = z.infer<typeof WorkspaceDetail>;

export const CreateWorkspace = exactly({
  name: Name,
  image: Reference.describe("master image"),
});
export type CreateWorkspace = z.infer<typeof CreateWorkspace>;

/** where the disks live */
export const StorageStatus = z.object({
  directory: z.string(),
  driver: z.enum(["btrfs"]),
  totalBytes: z.int(),
  freeBytes: z.int(),
  loopFile: z.string().nullable().describe("the file behind a loop-backed store"),
  imageCount: z.int(),
  workspaceCount: z.int(),
  driveCount: z.int(),
  unknown: z
    .array(z.string())
    .describe("directories in the store that the daemon's records do not know; nothing deletes them"),
});
export type StorageStatus = z.infer<typeof StorageStatus>;
