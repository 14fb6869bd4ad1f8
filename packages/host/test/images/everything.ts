import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { runTool } from "../../src/process/run.ts";
import { writeTar, type Entry } from "./tar-writer.ts";

/** A tree with one of every kind of thing that must come right in an image, and the look inside that proves it. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex"); // cap_net_raw+ep, vfs_cap_data version 2
/** version 2: owner rwx, user 1234 r--, group r-x, mask r-x, other r-x */
const accessList = Buffer.from(
  "02000000" + "01000700ffffffff" + "02000400d2040000" + "04000500ffffffff" + "10000500ffffffff" + "20000500ffffffff",
  "hex",
);

const everything: readonly Entry[] = [
  { path: "./", kind: "directory", mode: 0o755 },
  {
    path: "./setuid",
    kind: "file",
    mode: 0o4755,
    uid: 1000,
    gid: 1001,
    content: Buffer.from("a\n"),
    attributes: { "user.comment": Buffer.from("hello") },
  },
  { path: "./setgid", kind: "file", mode: 0o2755, content: Buffer.from("b\n") },
  { path: "./sticky", kind: "directory", mode: 0o1777, attributes: { "user.directory": Buffer.from("x") } },
  { path: "./sticky/inside", kind: "directory", mode: 0o700, uid: 7, gid: 8 },
  {
    path: "./sticky/inside/capable",
    kind: "file",
    mode: 0o755,
    content: Buffer.from("c\n"),
    attributes: { "security.capability": capability },
  },
  { path: "./listed", kind: "file", mode: 0o755, attributes: { "system.posix_acl_access": accessList } },
  { path: "./trusted", kind: "file", attributes: { "trusted.secret": Buffer.from([0, 1, 2, 255]) } },
  { path: "./large-attribute", kind: "file", attributes: { "user.large": Buffer.alloc(2000, "y") } },
  { path: "./null", kind: "character", mode: 0o666, device: [1, 3] },
  { path: "./disk", kind: "block", mode: 0o660, gid: 6, device: [254, 1] },
  { path: "./pipe", kind: "fifo", mode: 0o600 },
  { path: "./short", kind: "symlink", mode: 0o777, link: "setuid" },
  { path: "./long", kind: "symlink", mode: 0o777, link: "x".repeat(120) },
  { path: "./hard", kind: "hardlink", link: "./setuid" },
  { path: "./with space", kind: "file", mtime: 981_173_106, attributes: { "user.a b": Buffer.from("c") } },
  { path: './"quoted"', kind: "file", attributes: { "user.q": Buffer.from("q") } },
  { path: "./new\nline", kind: "file", attributes: { "user.n": Buffer.from("n") } },
  { path: "./not\xff\xfeutf8", kind: "file", attributes: { "user.u": Buffer.from("u") } },
  { path: `./${"d".repeat(60)}/`, kind: "directory" },
  {
    path: `./${"d".repeat(60)}/${"e".repeat(60)}`,
    kind: "file",
    content: Buffer.alloc(100_000, "z"),
    attributes: { "user.deep": Buffer.from("d") },
  },
  { path: "./empty", kind: "directory", mode: 0o711 },
];

/** Writes the tree as a tar. */
export async function writeEverything(directory: string): Promise<string> {
  const tar = join(directory, "everything.tar");
  await fs.writeFile(tar, writeTar(everything));
  return tar;
}

async function look(image: string, command: string): Promise<string> {
  return (await runTool(["debugfs", "-R", command, image], { encoding: "latin1" })).stdout;
}

/** inode number of every path */
async function inodesOf(
  image: string,
  inode: number,
  prefix: string,
  into: Map<string, number>,
): Promise<Map<string, number>> {
  for (const match of (await look(image, `ls -p <${inode}>`)).matchAll(
    /^\/(\d+)\/(\d{6})\/\d+\/\d+\/([^/]*)\/\d*\/$/gm,
  )) {
    const [, number = "", mode = "", name = ""] = match;
    if (name === "." || name === ".." || name === "lost+found") continue;
    into.set(prefix + name, Number(number));
    if (mode.startsWith("04")) await inodesOf(image, Number(number), `${prefix}${name}/`, into);
  }
  return into;
}

const types = {
  file: "regular",
  directory: "directory",
  symlink: "symlink",
  hardlink: "regular",
  character: "character special",
  block: "block special",
  fifo: "FIFO",
};

/** Proves that the image holds everything, by debugfs alone. */
export async function assertEverything(image: string): Promise<void> {
  const inodes = await inodesOf(image, 2, "", new Map());
  for (const entry of everything) {
    const path = entry.path.replace(/^\.\//, "").replace(/\/$/, "");
    if (path === "" || entry.kind === "hardlink") continue;
    const inode = inodes.get(path);
    assert.ok(
      inode !== undefined,
      `${JSON.stringify(path)} is missing; there are ${JSON.stringify([...inodes.keys()])}`,
    );
    const stat = await look(image, `stat <${inode}>`);
    const about = `${JSON.stringify(path)}:\n${stat}`;
    const mode = entry.mode ?? (entry.kind === "directory" ? 0o755 : 0o644);
    assert.match(stat, new RegExp(`Type: ${types[entry.kind]}\\s+Mode:\\s+0*${mode.toString(8)}\\b`), about);
    assert.match(stat, new RegExp(`User:\\s+${entry.uid ?? 0}\\s+Group:\\s+${entry.gid ?? 0}\\b`), about);
    if (entry.kind !== "directory")
      assert.match(stat, new RegExp(`mtime: 0x${(entry.mtime ?? 1_000_000_000).toString(16).padStart(8, "0")}`), about);
    if (entry.device !== undefined)
      assert.match(
        stat,
        new RegExp(
          `Device major/minor number: ${entry.device.map((number) => String(number).padStart(2, "0")).join(":")}`,
        ),
        about,
      );
    if (entry.kind === "file") assert.match(stat, new RegExp(`Size: ${entry.content?.length ?? 0}\\b`), about);
    for (const [name, value] of Object.entries(entry.attributes ?? {})) {
      // debugfs shows lists in their form on disk, but does not give them out
      if (name.startsWith("system.")) assert.ok(stat.includes(`${name} (28) = ${listOnDisk}`), about);
      else assert.deepEqual(await attribute(image, inode, name), value, `${name} of ${about}`);
    }
  }
  assert.equal(inodes.get("hard"), inodes.get("setuid"), "a hard link is the same file");
  assert.match(await look(image, `stat <${inodes.get("short")}>`), /Fast link dest: "setuid"/);
  assert.match(await look(image, `stat <${inodes.get("setuid")}>`), /Links: 2/);
}

/** version 1 as ext4 stores it: entries of the file's own classes have no id */
const listOnDisk = "01 00 00 00 01 00 07 00 02 00 04 00 d2 04 00 00 04 00 05 00 10 00 05 00 20 00 05 00";

async function attribute(image: string, inode: number, name: string): Promise<Buffer> {
  const file = `${image}.attribute`;
  await fs.rm(file, { force: true });
  await look(image, `ea_get -f "${file}" <${inode}> "${name}"`);
  const value = await fs.readFile(file).catch(() => Buffer.from("(absent)"));
  await fs.rm(file, { force: true });
  return value;
}
