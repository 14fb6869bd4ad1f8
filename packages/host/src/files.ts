import { promises as fs } from "node:fs";
import { dirname } from "node:path";
import { WorkfortError } from "@workfort/contract";

/** so that two who write the same file at once have a temporary one each */
let written = 0;

/** Replaces a file as a whole: readers see the old content or the new, also after a power failure. */
export async function writeAtomically(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  mode = 0o600,
): Promise<void> {
  await fs.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}-${(written += 1)}.tmp`;
  try {
    const handle = await fs.open(temporary, "w", mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
}

/** The file's text; null where there is no file. */
export async function readTextIfThere(path: string): Promise<string | null> {
  try {
    return await fs.readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Makes a directory that only this user can read or change; throws where somebody else could put another in its place. */
export async function makePrivateDirectory(path: string): Promise<void> {
  const own = process.getuid?.() ?? 0;
  const refuse = (why: string): WorkfortError =>
    new WorkfortError("storage_unavailable", `${path} cannot be used: ${why}`, {
      hint: "set XDG_RUNTIME_DIR to a directory of your own",
    });
  try {
    await fs.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const [directory, parent] = [await fs.lstat(path), await fs.stat(dirname(path))];
  if (!directory.isDirectory()) throw refuse("it is no directory");
  if (directory.uid !== own) throw refuse(`it belongs to user ${directory.uid}`);
  if (parent.uid !== own && parent.uid !== 0) throw refuse(`${dirname(path)} belongs to user ${parent.uid}`);
  // in a sticky directory such as /tmp nobody can rename what is another's
  if ((parent.mode & 0o022) !== 0 && (parent.mode & 0o1000) === 0)
    throw refuse(`other users may write in ${dirname(path)}`);
  await fs.chmod(path, 0o700);
}
