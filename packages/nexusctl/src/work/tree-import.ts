import { createReadStream, promises as fs } from "node:fs";
import { Refusal } from "../failures.ts";
import { gitApart } from "./git.ts";
import { isRepository } from "./guest-tree.ts";

/** names that some other file system would take for `.git`; nothing of this is ever checked out */
const anyName = ["-c", "core.protectNTFS=false", "-c", "core.protectHFS=false"];
const ref = "refs/heads/imported";

/**
 * Puts a directory's files into a repository as they are, whatever attributes and ignored names the files of git in
 * it ask for, and gives the tree's name.
 */
export async function importTree(repository: string, directory: string, signal: AbortSignal): Promise<string> {
  const input = streamOf(Buffer.from(directory), signal);
  await gitApart(repository, [...anyName, "fast-import", "--quiet", "--force", "--done"], { signal, input });
  return (await gitApart(repository, ["rev-parse", `${ref}^{tree}`], { signal })).toString().trim();
}

/** The language of git fast-import. */
async function* streamOf(directory: Buffer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`reset ${ref}\ncommit ${ref}\ncommitter WorkFort <workfort@localhost> 0 +0000\ndata 0\n`);
  yield* filesBelow(directory, Buffer.alloc(0), signal);
  yield Buffer.from("done\n");
}

async function* filesBelow(directory: Buffer, below: Buffer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true, encoding: "buffer" })) {
    signal.throwIfAborted();
    const name = entry.name;
    if (isRepository(name.toString("latin1"))) continue;
    const path = Buffer.concat([directory, Buffer.from("/"), name]);
    const within = Buffer.concat([below, name]);
    if (entry.isDirectory()) yield* filesBelow(path, Buffer.concat([within, Buffer.from("/")]), signal);
    else if (entry.isSymbolicLink()) {
      const target = await fs.readlink(path, { encoding: "buffer" });
      yield* [head("120000", within, target.length), target, Buffer.from("\n")];
    } else if (entry.isFile()) yield* contentOf(path, within);
  }
}

async function* contentOf(path: Buffer, within: Buffer): AsyncGenerator<Uint8Array> {
  const { size, mode } = await fs.stat(path);
  yield head((mode & 0o100) === 0 ? "100644" : "100755", within, size);
  let bytes = 0;
  if (size > 0)
    for await (const chunk of createReadStream(path, {
      end: size - 1,
      highWaterMark: 256 * 1024,
    }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      yield chunk;
    }
  if (bytes !== size) throw new Refusal(`${path.toString()} became shorter while it was read; try again`);
  yield Buffer.from("\n");
}

function head(mode: string, path: Buffer, size: number): Buffer {
  const quoted = path.toString("latin1").replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n");
  return Buffer.from(`M ${mode} inline "${quoted}"\ndata ${size}\n`, "latin1");
}
