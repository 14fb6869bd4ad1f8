import * as z from "zod";
import { exactly, flag, guestPath, matching, offset, says } from "./fields.ts";
import {
  archiveType,
  DeleteFile,
  FileEntry,
  FileListing,
  fileMode,
  FoundFiles,
  guestUser,
  MadeDirectory,
  MakeDirectory,
  MoveFile,
  SearchFiles,
  UnpackedFiles,
  WrittenFile,
} from "./file.ts";
import { Reference } from "./names.ts";
import { operation, type Operation } from "./operation.ts";
import { progressType } from "./progress.ts";

const vm = exactly({ vm: Reference });
const place = { path: guestPath(), user: guestUser().optional() };
const number = (most: number, otherwise: number, description: string) => {
  const allowed = says(`must be a whole number from 1 to ${most}`);
  return z
    .string(allowed)
    .refine((text) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= most, allowed)
    .default(String(otherwise))
    .transform(Number)
    .describe(description);
};

const errors = [
  "not_found",
  "wrong_state",
  "agent_unreachable",
  "agent_failed",
  "agent_outdated",
  "timeout",
  "too_many",
  "cannot_start",
  "guest_conflict",
  "permission_denied",
  "file_exists",
  "not_a_directory",
  "is_a_directory",
  "directory_not_empty",
  "not_a_file",
  "file_failed",
  "guest_disk_full",
] as const;

/** files in a VM; paths are absolute or begin with `~/` */
export const fileOperations = {
  "vm.files.read": operation({
    method: "GET",
    path: "/v1/vms/{vm}/files/content",
    summary: "Read a file in a VM; the header workfort-size tells its whole size, workfort-mode its mode",
    params: vm,
    query: exactly({
      ...place,
      offset: offset("first byte wanted"),
      length: matching(/^\d{1,15}$/, "must be a whole number of bytes, of at most 15 digits")
        .transform(Number)
        .optional()
        .describe("bytes wanted at most"),
    }),
    answer: "bytes",
    mediaType: "application/octet-stream",
    errors,
  }),
  "vm.files.write": operation({
    method: "PUT",
    path: "/v1/vms/{vm}/files/content",
    summary: "Write a file in a VM, at once or not at all",
    params: vm,
    query: exactly({
      ...place,
      mode: fileMode().optional().describe("octal; default that of the file that is there, else 0644"),
      owner: guestUser().optional().describe("default that of the file that is there, else the user"),
      parents: flag("make the directories above"),
      draft: matching(/^[0-9a-f]{16}$/, "must be 16 lower-case hexadecimal digits")
        .optional()
        .describe("keep what has come as .workfort-draft-… beside the file, should the body break off"),
      offset: offset("of the body's first byte, behind what the draft holds"),
    }),
    bytesIn: true,
    result: WrittenFile,
    errors,
  }),
  "vm.files.stat": operation({
    method: "GET",
    path: "/v1/vms/{vm}/files/stat",
    summary: "Show what is at a path in a VM; a link is not followed",
    params: vm,
    query: exactly(place),
    result: FileEntry,
    errors,
  }),
  "vm.files.list": operation({
    method: "GET",
    path: "/v1/vms/{vm}/files/list",
    summary: "List a directory in a VM",
    params: vm,
    query: exactly({
      ...place,
      depth: number(64, 1, "levels of directories"),
      limit: number(10_000, 1000, "entries in one answer"),
      after: matching(/^[^\0]{1,4096}$/, "must be 1 to 4096 characters without NUL")
        .optional()
        .describe("begin after this path, the last of an answer that was truncated"),
    }),
    result: FileListing,
    errors,
  }),
  "vm.files.move": operation({
    method: "POST",
    path: "/v1/vms/{vm}/files/move",
    summary: "Move or rename a file or directory in a VM",
    params: vm,
    body: MoveFile,
    result: z.object({}),
    errors,
  }),
  "vm.files.delete": operation({
    method: "POST",
    path: "/v1/vms/{vm}/files/delete",
    summary: "Delete a file or directory in a VM",
    params: vm,
    body: DeleteFile,
    result: z.object({}),
    errors,
  }),
  "vm.files.mkdir": operation({
    method: "POST",
    path: "/v1/vms/{vm}/files/mkdir",
    summary: "Make a directory in a VM",
    params: vm,
    body: MakeDirectory,
    result: MadeDirectory,
    errors,
  }),
  "vm.files.search": operation({
    method: "POST",
    path: "/v1/vms/{vm}/files/search",
    summary: "Search files in a VM for text, names or both",
    params: vm,
    body: SearchFiles,
    result: FoundFiles,
    errors,
  }),
  "vm.files.watch": operation({
    method: "GET",
    path: "/v1/vms/{vm}/files/watch",
    summary: "Watch a directory in a VM: a line of JSON for each change",
    params: vm,
    query: exactly({
      ...place,
      recursive: flag("the directories in it, too"),
    }),
    answer: "bytes",
    mediaType: progressType,
    errors,
  }),
  "vm.files.archive": operation({
    method: "GET",
    path: "/v1/vms/{vm}/files/archive",
    summary: "Read a directory or file in a VM as a tar",
    params: vm,
    query: exactly(place),
    answer: "bytes",
    mediaType: archiveType,
    errors,
  }),
  "vm.files.unpack": operation({
    method: "PUT",
    path: "/v1/vms/{vm}/files/archive",
    summary: "Unpack a tar below a directory in a VM",
    params: vm,
    query: exactly({ ...place, owners: flag("give files the owners that the tar says; for root") }),
    bytesIn: true,
    result: UnpackedFiles,
    errors: [...errors, "bad_archive"],
  }),
} as const satisfies Record<string, Operation>;
