import { closeSync, constants, fchmodSync, futimesSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Under a name of its own until it is whole; a failure on the way leaves nothing. The calls are synchronous: each is
 * short, and for many small files the way through other threads takes longer than the work.
 */

let made = 0;

/** Makes something at a temporary path in the directory of `path`, then renames it to there. */
export async function place(path: Buffer, make: (temporary: Buffer) => Promise<void> | void): Promise<void> {
  const text = path.toString("latin1");
  const temporary = Buffer.from(join(dirname(text), `.workfort-${process.pid}-${(made += 1)}`), "latin1");
  try {
    await make(temporary);
    renameSync(temporary, path);
  } finally {
    // gone already, unless something failed or it was another name of the same file
    rmSync(temporary, { force: true });
  }
}

/** Writes a file; gives its size. */
export async function writeFile(
  path: Buffer,
  content: AsyncIterable<Uint8Array>,
  about: { mode: number; modified: number | null },
): Promise<number> {
  let size = 0;
  await place(path, async (temporary) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = openSync(temporary, flags, 0o600);
    try {
      for await (const chunk of content) {
        for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at);
        size += chunk.length;
      }
      fchmodSync(file, about.mode);
      if (about.modified !== null) futimesSync(file, new Date(), about.modified);
    } finally {
      closeSync(file);
    }
  });
  return size;
}
