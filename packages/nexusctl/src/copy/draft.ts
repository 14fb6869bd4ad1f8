import { hash } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Refusal } from "../failures.ts";

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

interface About {
  mode: number;
  /** Unix seconds */
  modified: number | null;
}

/** Writes a file; gives its size. */
export async function writeFile(path: Buffer, content: AsyncIterable<Uint8Array>, about: About): Promise<number> {
  let size = 0;
  await place(path, async (temporary) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = openSync(temporary, flags, 0o600);
    try {
      for await (const chunk of content) {
        for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at);
        size += chunk.length;
      }
      setFacts(file, about);
    } finally {
      closeSync(file);
    }
  });
  return size;
}

/**
 * Writes a file of `size` bytes. What an interruption leaves stays beside it, and is gone on with by whoever writes the
 * same there, which is what `key` stands for; another key's is deleted. Gives the bytes that were there already.
 */
export async function resumeFile(
  path: string,
  { key, size, ...about }: About & { key: string; size: number },
  contentFrom: (offset: number) => Promise<AsyncIterable<Uint8Array>>,
): Promise<number> {
  const digest = (text: string): string => hash("sha256", text).slice(0, 16);
  const [directory, prefix] = [dirname(path), `.workfort-resume-${digest(basename(path))}-`];
  const name = `${prefix}${digest(key)}`;
  for (const other of readdirSync(directory))
    if (other.startsWith(prefix) && other !== name) rmSync(join(directory, other), { force: true });
  const temporary = join(directory, name);
  const file = openSync(temporary, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    const there = Math.min(fstatSync(file).size, size);
    let at = there;
    for await (const chunk of await contentFrom(there))
      for (let done = 0; done < chunk.length;) {
        const written = writeSync(file, chunk, done, chunk.length - done, at);
        done += written;
        at += written;
      }
    if (at !== size) throw new Refusal(`the file had ${size} bytes, and ${at} have come: it has changed meanwhile`);
    setFacts(file, about);
    renameSync(temporary, path);
    return there;
  } finally {
    closeSync(file);
  }
}

function setFacts(file: number, { mode, modified }: About): void {
  fchmodSync(file, mode);
  if (modified !== null) futimesSync(file, new Date(), modified);
}
