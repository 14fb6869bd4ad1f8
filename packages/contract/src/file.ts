import * as z from "zod";
import { exactly, guestPath, matching, oneOf, says, trueOrFalse, wholeNumber } from "./fields.ts";

/** files of a guest: whatever is done with them is done as a user of the guest, by default root */

export const guestUser = () =>
  matching(/^[^\0]{1,256}$/, "must be 1 to 256 characters without NUL").describe(
    "`name`, `uid`, `name:group` or `uid:gid`; default root",
  );

export const fileMode = () =>
  matching(/^[0-7]{3,4}$/, "must be three or four octal digits, for example 0644").describe("permissions, octal");

/** a text of the guest's; what is not UTF-8 in it has become U+FFFD */
const guestText = z.string().max(16_384);

export const FileEntry = z.object({
  path: guestText.describe("as asked, or below the directory that was listed"),
  type: z.enum(["file", "directory", "link", "fifo", "socket", "device"]),
  sizeBytes: z.int().nonnegative(),
  mode: z.string().regex(/^[0-7]{4}$/),
  uid: z.int().nonnegative(),
  gid: z.int().nonnegative(),
  modifiedAt: z.int().describe("Unix ms"),
  links: z.int().nonnegative().describe("hard links"),
  target: guestText.nullable().describe("what a symbolic link leads to"),
});
export type FileEntry = z.infer<typeof FileEntry>;

export const FileListing = z.object({
  entries: z.array(FileEntry).max(10_000),
  truncated: z.boolean().describe("whether there are more; ask again with `after` set to the last path"),
});
export type FileListing = z.infer<typeof FileListing>;

export const WrittenFile = z.object({
  path: guestText.describe("where it was written, links followed"),
  sizeBytes: z.int().nonnegative(),
  created: z.boolean().describe("whether there was none before"),
});
export type WrittenFile = z.infer<typeof WrittenFile>;

export const MoveFile = exactly({
  from: guestPath(),
  to: guestPath().describe("the new path itself, not a directory to move into"),
  overwrite: trueOrFalse().default(false).describe("replace what is there"),
  user: guestUser().optional(),
});
export type MoveFile = z.infer<typeof MoveFile>;

export const DeleteFile = exactly({
  path: guestPath(),
  recursive: trueOrFalse().default(false).describe("a directory with all that is in it; no link is followed"),
  user: guestUser().optional(),
});
export type DeleteFile = z.infer<typeof DeleteFile>;

export const MakeDirectory = exactly({
  path: guestPath(),
  parents: trueOrFalse().default(false).describe("make the directories above, too, and take one that is there"),
  mode: fileMode().default("0755"),
  user: guestUser().optional(),
});
export type MakeDirectory = z.infer<typeof MakeDirectory>;

export const MadeDirectory = z.object({ created: z.boolean().describe("false where it was there already") });
export type MadeDirectory = z.infer<typeof MadeDirectory>;

const namesAllowed = says("must be a list of at most 64 globs, each of 1 to 4096 characters");

export const SearchFiles = exactly({
  path: guestPath().describe("directory, or one file"),
  pattern: matching(/^[^\0]{1,4096}$/, "must be 1 to 4096 characters without NUL")
    .optional()
    .describe("regular expression of the Rust crate regex, of one line; without it only names are looked for"),
  names: z
    .array(matching(/^[^\0]{1,4096}$/, "must be 1 to 4096 characters without NUL"), namesAllowed)
    .max(64, namesAllowed)
    .default([])
    .describe("globs, any of which a name has to match; one with a slash is of the path below `path`"),
  ignoreCase: trueOrFalse().default(false),
  hidden: trueOrFalse().default(false).describe("what begins with a dot, too; ignore files play no part"),
  limit: wholeNumber(1, 10_000, "matches").default(1000),
  timeoutMs: wholeNumber(1, 60_000, "ms").default(10_000),
  user: guestUser().optional(),
});
export type SearchFiles = z.infer<typeof SearchFiles>;

export const FoundFiles = z.object({
  matches: z
    .array(
      z.object({
        path: guestText.describe("below the directory that was searched"),
        type: FileEntry.shape.type,
        line: z.int().positive().nullable().describe("from 1"),
        text: z.string().max(2000).nullable().describe("the line, at most 500 characters around the match"),
      }),
    )
    .max(10_000),
  filesSearched: z.int().nonnegative(),
  truncated: z.boolean(),
  stoppedBy: z.enum(["limit", "time"]).nullable(),
});
export type FoundFiles = z.infer<typeof FoundFiles>;

export const FileChange = z.object({
  event: oneOf([
    "watching",
    "created",
    "modified",
    "written",
    "attributes",
    "deleted",
    "movedFrom",
    "movedTo",
    "overflow",
    "unwatched",
    "gone",
  ]),
  path: guestText.describe("below the directory that is watched"),
  isDirectory: z.boolean(),
});
export type FileChange = z.infer<typeof FileChange>;

export const UnpackedFiles = z.object({
  files: z.int().nonnegative(),
  directories: z.int().nonnegative(),
  links: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  leftOut: z.array(guestText).max(100).describe("pipes, devices and the like, the first hundred"),
});
export type UnpackedFiles = z.infer<typeof UnpackedFiles>;

export const archiveType = "application/x-tar";
/** in an archive's global headers: what the guest could not pack, in plain words */
export const archiveNoticeKey = "WORKFORT.notice";
