import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { packTree } from "../../src/copy/tar-out.ts";
import { unpackHere, type Unpacked } from "../../src/copy/unpack.ts";
import { archive, record, type Entry } from "../helpers/archive.ts";

/** What a guest's archive may do on this host. */

/** in pieces that end anywhere */
async function* pieces(bytes: Buffer, size = 700): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Gives `use` a directory in which `outside/kept` is to stay as it is, and nothing but `to` is to appear. */
async function within(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "unpack-"));
  try {
    await fs.mkdir(join(directory, "outside"));
    await fs.writeFile(join(directory, "outside/kept"), "kept", { mode: 0o600 });
    await use(directory);
    assert.equal(await fs.readFile(join(directory, "outside/kept"), "utf8"), "kept");
    assert.equal((await fs.stat(join(directory, "outside/kept"))).mode & 0o7777, 0o600);
    assert.deepEqual(await fs.readdir(join(directory, "outside")), ["kept"]);
    for (const name of await fs.readdir(directory)) assert.ok(["outside", "to"].includes(name), name);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

async function unpack(directory: string, bytes: Buffer): Promise<Unpacked> {
  return await unpackHere(pieces(bytes), join(directory, "to"));
}

const link: Entry = { name: "link", kind: "2", target: "../outside" };
const hostile: Record<string, Entry[]> = {
  "a way up": [{ name: "../outside/new", content: "x" }],
  "a way up to a file": [{ name: "../outside/kept", content: "x" }],
  "a way up in the middle": [{ name: "a/../../outside/kept", content: "x" }],
  "an absolute name": [{ name: join(tmpdir(), "unpack-absolute"), content: "x" }],
  "no name": [{ name: "", content: "x" }],
  "the directory itself as a link": [{ name: "./", kind: "2", target: "../outside" }],
  "a link used as a directory": [link, { name: "link/new", content: "x" }],
  "a link used as a directory, to a file": [link, { name: "link/kept", content: "x" }],
  "a link declared a directory": [link, { name: "link/", kind: "5" }],
  "a link far up the way": [link, { name: "link/a/b/new", content: "x" }],
  "a link in the place of a directory": [
    { name: "d/", kind: "5" },
    { ...link, name: "d" },
    { name: "d/new", content: "x" },
  ],
  "a link in the place of a full directory": [
    { name: "d/a", content: "x" },
    { ...link, name: "d" },
  ],
  "a hard link up": [{ name: "hard", kind: "1", target: "../outside/kept" }],
  "an absolute hard link": [{ name: "hard", kind: "1", target: "/etc/passwd" }],
  "a hard link by way of a link": [link, { name: "hard", kind: "1", target: "link/kept" }],
  "a hard link to a link": [
    { ...link, target: "../outside/kept" },
    { name: "hard", kind: "1", target: "link" },
    { name: "hard", content: "x" },
  ],
  "a hard link to nothing": [{ name: "hard", kind: "1", target: "none" }],
  "a hard link without a target": [{ name: "hard", kind: "1" }],
  "a long name that climbs": [
    { name: "x", kind: "x", content: record("path", "../outside/new") },
    { name: "harmless", content: "x" },
  ],
  "a long target that climbs": [
    { name: "x", kind: "x", content: record("linkpath", "../outside/kept") },
    { name: "hard", kind: "1", target: "harmless" },
  ],
  "a name with NUL": [
    { name: "x", kind: "x", content: record("path", "a\0/../../outside/new") },
    { name: "harmless", content: "x" },
  ],
  "a file used as a directory": [
    { name: "f", content: "x" },
    { name: "f/under", content: "x" },
  ],
  "more content than there is": [{ name: "f", content: "x", size: 8 ** 11 - 1 }],
  "a header beyond all bounds": [{ name: "x", kind: "x", size: 2 ** 30 }],
  "records that are none": [{ name: "x", kind: "x", content: "99999 path=x\n" }],
  "a size below nothing": [
    { name: "x", kind: "x", content: record("size", "-1") },
    { name: "f", content: "x" },
  ],
};

for (const [what, entries] of Object.entries(hostile)) {
  test(`${what} writes nothing outside, and fails`, async () => {
    await within(async (directory) => {
      await assert.rejects(unpack(directory, archive(...entries)));
      const left = await fs.readdir(join(directory, "to"), { recursive: true });
      assert.deepEqual(
        left.filter((name) => name.includes(".workfort-")),
        [],
      );
    });
  });
}

test("bytes that are no archive, or half of one, fail and leave no half file", async () => {
  const whole = archive({ name: "file", content: "x".repeat(5000) });
  for (const bytes of [Buffer.alloc(1024, "x"), whole.subarray(0, 3000), whole.subarray(0, 100), Buffer.alloc(0)])
    await within(async (directory) => {
      await assert.rejects(unpack(directory, bytes), /^ArchiveError: the archive/);
      assert.deepEqual(await fs.readdir(join(directory, "to")), []);
    });
});

test("what lends rights is not taken over, and devices are left out and told", async () => {
  await within(async (directory) => {
    const done = await unpack(
      directory,
      archive(
        { name: "su", content: "x", mode: 0o6755 },
        { name: "shared/", kind: "5", mode: 0o3777 },
        { name: "null", kind: "3" },
        { name: "disk", kind: "4" },
        { name: "fifo", kind: "6" },
        { name: "notice", kind: "g", content: record("WORKFORT.notice", "secret is left out") },
      ),
    );
    assert.deepEqual([done.files, done.directories, done.leftOut.length], [1, 1, 4]);
    assert.equal(done.leftOut.at(-1), "secret is left out");
    const mode = async (name: string): Promise<number> => (await fs.stat(join(directory, "to", name))).mode & 0o7777;
    assert.deepEqual([await mode("su"), await mode("shared")], [0o755, 0o777]);
    assert.deepEqual((await fs.readdir(join(directory, "to"))).toSorted(), ["shared", "su"]);
  });
});

test("what is in an entry's place is replaced, not written through", async () => {
  await within(async (directory) => {
    const to = join(directory, "to");
    await fs.mkdir(to);
    await fs.symlink("../outside/kept", join(to, "link"));
    await fs.link(join(directory, "outside/kept"), join(to, "hard"));
    await unpack(directory, archive({ name: "link", content: "new" }, { name: "hard", content: "new" }));
    assert.deepEqual(
      [await fs.readFile(join(to, "link"), "utf8"), await fs.readFile(join(to, "hard"), "utf8")],
      ["new", "new"],
    );
    await fs.symlink("../outside", join(to, "mine"));
    await assert.rejects(unpack(directory, archive({ name: "mine/new", content: "x" })), /mine is a link/);
  });
});

test("a tree of this host comes back as it was", async () => {
  await within(async (directory) => {
    const from = join(directory, "outside-not");
    await fs.mkdir(join(from, "d/e"), { recursive: true });
    const long = "n".repeat(200);
    await fs.writeFile(join(from, "d", long), "long", { mode: 0o640 });
    await fs.writeFile(join(from, "large"), Buffer.alloc(1_000_001, 7));
    await fs.link(join(from, "large"), join(from, "same"));
    await fs.symlink(long.repeat(2), join(from, "dangling"));
    await fs.writeFile(Buffer.concat([Buffer.from(`${from}/`), Buffer.from([0xff, 0xe4])]), "bytes");
    await fs.chmod(join(from, "d/e"), 0o500);
    const packed = { files: 0, directories: 0, links: 0, leftOut: [] };
    const done = await unpackHere(packTree(from, packed), join(directory, "to"));
    assert.deepEqual(packed, { files: 3, directories: 2, links: 2, leftOut: [] });
    assert.deepEqual({ ...packed, bytes: done.bytes }, done);
    const list = async (root: string): Promise<string[]> => {
      const names = await fs.readdir(root, { recursive: true, encoding: "latin1" as BufferEncoding });
      return names.toSorted();
    };
    assert.deepEqual(await list(join(directory, "to")), await list(from));
    assert.equal((await fs.stat(join(directory, "to/d/e"))).mode & 0o777, 0o500);
    assert.equal((await fs.stat(join(directory, "to/large"))).ino, (await fs.stat(join(directory, "to/same"))).ino);
    assert.equal(await fs.readlink(join(directory, "to/dangling")), long.repeat(2));
    await fs.rm(from, { recursive: true, force: true });
  });
});
