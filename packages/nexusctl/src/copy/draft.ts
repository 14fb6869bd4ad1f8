import { constants, promises as fs } from "node:fs";
import { dirname, join } from "node:path";

/** Under a name of its own until it is whole; a failure on the way leaves nothing. */

let made = 0;

/** Makes something at a temporary path in the directory of `path`, then renames it to there. */
export async function place(path: Buffer, make: (temporary: Buffer) => Promise<void>): Promise<void> {
  const text = path.toString("latin1");
  const temporary = Buffer.from(join(dirname(text), `.workfort-${process.pid}-${(made += 1)}`), "latin1");
  try {
    await make(temporary);
    await fs.rename(temporary, path);
  } finally {
    // gone already, unless something failed or it was another name of the same file
    await fs.rm(temporary, { force: true });
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
    await using file = await fs.open(temporary, flags, 0o600);
    for await (const chunk of content) {
      for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
      size += chunk.length;
    }
    await file.chmod(about.mode);
    if (about.modified !== null) await file.utimes(new Date(), about.modified);
  });
  return size;
}
