import { promises as fs } from "node:fs";
import { archiveNoticeKey } from "./notice.ts";
import { place, writeFile } from "./draft.ts";
import { ArchiveError, readArchive, type ArchiveEntry } from "./tar-in.ts";

/**
 * A guest's archive, unpacked below a directory of this host. The guest is hostile: whatever its archive says, nothing
 * is written outside. Every directory on the way to an entry is a real one, looked at without following links, and
 * what the archive makes never turns a directory into a link; what is in an entry's place is replaced, never written
 * through. Owners are not taken over, nor are the bits that lend rights (setuid, setgid, sticky).
 */
export interface Unpacked {
  files: number;
  directories: number;
  links: number;
  bytes: number;
  leftOut: string[];
}

const permissions = 0o777;
const mostTold = 100;
const latestModified = 2 ** 40;

export async function unpackHere(source: AsyncIterable<Uint8Array>, target: string): Promise<Unpacked> {
  const unpacking = new Unpacking(target);
  const onGlobal = (key: string, value: string): void => {
    if (key === archiveNoticeKey) unpacking.leaveOut(value.slice(0, 1000));
  };
  await unpacking.makeRoot();
  for await (const entry of readArchive(source, onGlobal)) await unpacking.take(entry);
  await unpacking.finish();
  return unpacking.done;
}

class Unpacking {
  readonly done: Unpacked = { files: 0, directories: 0, links: 0, bytes: 0, leftOut: [] };
  readonly #root: Buffer;
  /** real directories below the root, by their parts joined */
  readonly #known = new Set<string>();
  /** modes and times are set at the end: what is written into a directory changes its time */
  readonly #directories: [parts: readonly Buffer[], mode: number, modified: number][] = [];

  constructor(root: string) {
    this.#root = Buffer.from(root);
  }

  async makeRoot(): Promise<void> {
    await fs.mkdir(this.#root).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }

  async take(entry: ArchiveEntry): Promise<void> {
    const parts = cleanParts(entry.name);
    if (entry.kind === "directory") return await this.#directory(parts, entry);
    if (parts.length === 0) throw outside(entry.name);
    if (entry.kind === "other") return this.leaveOut(`${parts.join("/")}: a pipe, a device or something unknown`);
    await this.#enter(parts.slice(0, -1));
    const path = this.#path(parts);
    if (entry.kind === "file") {
      const about = { mode: entry.mode & permissions, modified: Math.min(entry.modified, latestModified) };
      this.done.bytes += await writeFile(path, entry.content, about);
      this.done.files += 1;
      return;
    }
    if (entry.target.length === 0 || entry.target.includes(0)) throw outside(entry.target);
    if (entry.kind === "symlink") await place(path, (temporary) => fs.symlink(entry.target, temporary));
    else await this.#hardLink(path, cleanParts(entry.target));
    this.done.links += 1;
  }

  async finish(): Promise<void> {
    for (const [parts, mode, modified] of this.#directories.toReversed()) {
      const path = this.#path(parts);
      if (!(await fs.lstat(path)).isDirectory()) throw notADirectory(parts);
      await fs.utimes(path, new Date(), modified);
      await fs.chmod(path, mode);
    }
  }

  leaveOut(what: string): void {
    if (this.done.leftOut.length < mostTold) this.done.leftOut.push(what);
  }

  async #directory(parts: readonly Buffer[], { mode, modified }: ArchiveEntry): Promise<void> {
    await this.#enter(parts);
    if (parts.length > 0) this.done.directories += 1;
    this.#directories.push([parts, mode & permissions, Math.min(modified, latestModified)]);
  }

  /** Makes sure that each directory on the way is one, and no link. */
  async #enter(parts: readonly Buffer[]): Promise<void> {
    for (let length = 1; length <= parts.length; length += 1) {
      const way = parts.slice(0, length);
      const key = Buffer.concat(way.flatMap((part) => [Buffer.from("/"), part])).toString("latin1");
      if (this.#known.has(key)) continue;
      const path = this.#path(way);
      await fs.mkdir(path, 0o700).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
        if (!(await fs.lstat(path)).isDirectory()) throw notADirectory(way);
      });
      this.#known.add(key);
    }
  }

  /** Another name for a file that the archive has brought. */
  async #hardLink(path: Buffer, target: readonly Buffer[]): Promise<void> {
    if (target.length === 0) throw outside(Buffer.from("."));
    await this.#enter(target.slice(0, -1));
    const first = this.#path(target);
    const found = await fs.lstat(first);
    if (!found.isFile()) throw new ArchiveError(`the archive has a hard link to ${target.join("/")}, which is no file`);
    await place(path, (temporary) => fs.link(first, temporary));
  }

  #path(parts: readonly Buffer[]): Buffer {
    return Buffer.concat([this.#root, ...parts.flatMap((part) => [Buffer.from("/"), part])]);
  }
}

function cleanParts(name: Buffer): Buffer[] {
  const text = name.toString("latin1");
  const parts = text.split("/").filter((part) => part !== "" && part !== ".");
  if (text.startsWith("/") || text.includes("\0") || parts.includes("..") || name.length === 0) throw outside(name);
  return parts.map((part) => Buffer.from(part, "latin1"));
}

function outside(name: Buffer): ArchiveError {
  return new ArchiveError(`the guest's archive has the path "${name.toString()}", which is not below the target`);
}

function notADirectory(parts: readonly Buffer[]): ArchiveError {
  return new ArchiveError(`${parts.join("/")} is a link or a file, where the guest's archive has a directory`);
}
