/** What has changed between two trees, as git tells it. */
export interface ChangedFile {
  path: string;
  /** lines, null for binary files */
  added: number | null;
  deleted: number | null;
}

/** a comparison that runs no program of anybody's */
export const showWords = ["diff", "--no-ext-diff", "--no-textconv", "--no-color"];

/** Of `--numstat -z`: `added<TAB>deleted<TAB>path`, with - for binary files, each ended by a zero. */
export function filesOf(numstat: Buffer): ChangedFile[] {
  const count = (text: string | undefined): number | null => (text === undefined || text === "-" ? null : Number(text));
  return numstat
    .toString("utf8")
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      const [added, deleted, ...path] = line.split("\t");
      return { path: path.join("\t"), added: count(added), deleted: count(deleted) };
    });
}
