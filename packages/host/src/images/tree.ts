import { promises as fs } from "node:fs";
import { join } from "node:path";

const blockBytes = 4096;

/** What a tree needs in a file system of 4 KiB blocks. Hard links count once, holes not at all. */
export async function measureTree(root: string): Promise<{ contentBytes: number; inodes: number }> {
  const seen = new Set<string>();
  let contentBytes = 0;
  let inodes = 0;
  const visit = async (path: string): Promise<void> => {
    const found = await fs.lstat(path);
    if (found.nlink > 1 && !found.isDirectory()) {
      const key = `${found.dev}:${found.ino}`;
      if (seen.has(key)) return;
      seen.add(key);
    }
    inodes += 1;
    contentBytes += Math.ceil(Math.min(found.size, found.blocks * 512 + blockBytes) / blockBytes) * blockBytes;
    if (!found.isDirectory()) return;
    for (const entry of await fs.readdir(path, { encoding: "buffer" })) await visitName(path, entry, visit);
  };
  await visit(root);
  return { contentBytes, inodes };
}

/** Names need not be UTF-8; those that are not are visited by their bytes. */
async function visitName(directory: string, name: Buffer, visit: (path: string) => Promise<void>): Promise<void> {
  const text = name.toString("utf8");
  if (Buffer.from(text).equals(name)) await visit(join(directory, text));
}
