import { createReadStream, promises as fs } from "node:fs";
import { join } from "node:path";
import { runTool } from "../process/run.ts";
import { encodeAcl } from "./acl.ts";
import { changeByDebugfs } from "./debugfs.ts";
import { readTar } from "./tar.ts";

/**
 * Extended attributes (file capabilities, ACLs, `user.*` and the rest) written into a finished image.
 *
 * `mke2fs -d` copies a directory's when it runs as root. Under fakeroot it cannot: a file with an attribute loses its
 * type there (fakeroot 1.31) and mke2fs gives up. And what a tar names, only root could give to extracted files. So in
 * both cases the image is made without, and they are set afterwards with debugfs, by inode number, since names may hold
 * anything.
 */
export interface FileAttributes {
  /** path inside the image without a leading slash, bytes as latin1; "" is the root */
  path: string;
  attributes: { name: string; value: Buffer }[];
}

/** What a tar names in its extended headers, in the forms that GNU tar and bsdtar write. */
export async function attributesOfTar(tar: string): Promise<FileAttributes[]> {
  const found: FileAttributes[] = [];
  for await (const entry of readTar(createReadStream(tar))) {
    const attributes = [...entry.extended].flatMap(([key, value]) => attributeOfRecord(key, value) ?? []);
    if (attributes.length > 0) found.push({ path: cleanPath(entry.path), attributes });
  }
  return found;
}

function attributeOfRecord(key: string, value: Buffer): { name: string; value: Buffer } | null {
  if (key.startsWith("SCHILY.xattr.")) return { name: key.slice("SCHILY.xattr.".length), value };
  if (key === "SCHILY.acl.access") return { name: "system.posix_acl_access", value: encodeAcl(value.toString("utf8")) };
  if (key === "SCHILY.acl.default")
    return { name: "system.posix_acl_default", value: encodeAcl(value.toString("utf8")) };
  return null;
}

/** What a directory's files have, as far as this user may read it (not `trusted.*`). */
export async function attributesOfDirectory(directory: string): Promise<FileAttributes[]> {
  const { stdout, truncated } = await runTool(
    ["getfattr", "--recursive", "--physical", "--no-dereference", "--match=-", "--dump", "--encoding=hex", "."],
    {
      cwd: directory,
      okCodes: [0, 1], // 1: a file could not be read, which is then missing in the image, too
      env: { LC_ALL: "C" },
    },
  );
  if (truncated) throw new Error(`${directory} has more extended attributes than can be carried over`);
  const found: FileAttributes[] = [];
  for (const block of stdout.split("\n\n")) {
    const [head = "", ...lines] = block.split("\n");
    if (!head.startsWith("# file: ")) continue;
    const attributes = lines.flatMap((line) => {
      const match = /^([^=]+)=0x([0-9a-fA-F]*)$/.exec(line);
      return match === null ? [] : [{ name: match[1] ?? "", value: Buffer.from(match[2] ?? "", "hex") }];
    });
    if (attributes.length > 0)
      found.push({ path: cleanPath(unescapeOctal(head.slice("# file: ".length))), attributes });
  }
  return found;
}

/** Sets the attributes in the image; `work` is a directory for temporary files. */
export async function setAttributes(
  image: string,
  files: readonly FileAttributes[],
  work: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (files.length === 0) return;
  const inodes = await findInodes(
    image,
    files.map((file) => file.path),
    signal,
  );
  const commands: string[] = [];
  for (const { path, attributes } of files) {
    const inode = inodes.get(path);
    if (inode === undefined) continue; // not in the image: a socket in a tar, say
    for (const { name, value } of attributes) {
      const file = join(work, `attribute-${commands.length}`);
      await fs.writeFile(file, value);
      commands.push(`ea_set -f ${quote(file)} <${inode}> ${quote(name)}`);
    }
  }
  await changeByDebugfs(image, commands, signal);
}

/** Inode numbers of paths, found by listing each directory on the way once. */
async function findInodes(
  image: string,
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, number>> {
  const inodes = new Map<string, number>([["", 2]]); // the root's is 2, always
  const depth = (path: string): number => (path === "" ? 0 : path.split("/").length);
  const wanted = new Set(
    paths.flatMap((path) => path.split("/").map((_, index, parts) => parts.slice(0, index).join("/"))),
  );
  const deepest = Math.max(0, ...[...wanted].map(depth));
  for (let level = 0; level <= deepest; level += 1) {
    const directories = [...wanted].filter((path) => depth(path) === level && inodes.has(path));
    if (directories.length === 0) break;
    const commands = directories.map((path) => `ls -p <${inodes.get(path)}>`).join("\n");
    const { stdout } = await runTool(["debugfs", "-f", "-", image], {
      input: `${commands}\n`,
      signal,
      env: { DEBUGFS_PAGER: "__none__" },
      encoding: "latin1",
    });
    const listings = stdout.split(/^debugfs: ls -p <\d+>\n/m).slice(1);
    directories.forEach((directory, index) => {
      for (const match of (listings[index] ?? "").matchAll(/^\/(\d+)\/\d{6}\/\d+\/\d+\/([^/]*)\/\d*\/$/gm)) {
        const name = match[2] ?? "";
        if (name !== "." && name !== "..")
          inodes.set(directory === "" ? name : `${directory}/${name}`, Number(match[1]));
      }
    });
  }
  return inodes;
}

function cleanPath(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

/** getfattr writes odd bytes as \ooo */
function unescapeOctal(text: string): string {
  return Buffer.from(text, "utf8")
    .toString("latin1")
    .replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** debugfs splits its lines as a shell would, with doubled quotes inside quotes */
function quote(word: string): string {
  return `"${word.replaceAll('"', '""')}"`;
}
