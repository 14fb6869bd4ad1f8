import { hash, randomBytes } from "node:crypto";
import { promises as fs, type BigIntStats } from "node:fs";
import { posix, resolve } from "node:path";
import { Backoff, retryDelaysMs } from "@workfort/client/retry";
import type { WrittenFile } from "@workfort/contract";
import { WorkfortError } from "@workfort/contract/errors";
import { Refusal } from "../failures.ts";
import type { Copying } from "./copy.ts";

/**
 * Writes a file of this host into a VM. The guest keeps what has come under the name of a draft, so that this goes on
 * over breaks of the line; with `resume` the draft outlives this program, and the next copy of the same goes on with it.
 */
export async function upload(
  copying: Copying,
  source: string,
  { vm, path }: { vm: string; path: string },
): Promise<{ bytes: number; resumedAt: number }> {
  const { client, user, signal } = copying;
  const before = await fs.stat(source, { bigint: true });
  const who = user === undefined ? {} : { user };
  const draft = copying.resume ? draftOf(source, before, `${vm}:${path}`) : randomBytes(8).toString("hex");
  const draftPath = posix.join(posix.dirname(path), `.workfort-draft-${draft}`);
  const mode = (Number(before.mode) & 0o7777).toString(8).padStart(4, "0");
  const write = async (offset: number, more: { draft?: string }): Promise<WrittenFile> => {
    copying.onSize(offset, Number(before.size));
    const content = contentFrom(copying, source, before, offset);
    const query = { ...who, ...more, path, mode, ...(offset === 0 ? {} : { offset: String(offset) }) };
    return await client.send("vm.files.write", { params: { vm }, query }, content, { signal });
  };
  const held = async (): Promise<number> => {
    const query = { ...who, path: draftPath };
    const found = await client.call("vm.files.stat", { params: { vm }, query }, { signal }).catch(noneIfMissing);
    return Math.min(found?.sizeBytes ?? 0, Number(before.size));
  };
  let resumedAt = copying.resume ? await held() : 0;
  const backoff = new Backoff(retryDelaysMs);
  try {
    for (let offset: number | null = resumedAt; ;) {
      let from = 0;
      try {
        from = offset ?? (await held());
        const { sizeBytes } = await write(from, { draft });
        return { bytes: sizeBytes, resumedAt };
      } catch (error) {
        if (from > 0 && error instanceof WorkfortError && error.code === "invalid_request") {
          // who wrote it before was given up, but has come to its end: nothing is held any more
          offset = resumedAt = 0;
          continue;
        }
        await backoff.afterFailure(error, signal);
        copying.onBreak(error);
        offset = null;
      }
    }
  } catch (error) {
    if (copying.resume) throw error;
    if (error instanceof WorkfortError && error.code === "agent_outdated")
      return { bytes: (await write(0, {})).sizeBytes, resumedAt };
    await forget(copying, vm, draftPath);
    throw error;
  }
}

/** The same for the same file to the same place. */
function draftOf(source: string, { size, mtimeNs, ino }: BigIntStats, target: string): string {
  return hash("sha256", [resolve(source), size, mtimeNs, ino, target].join("\0")).slice(0, 16);
}

async function* contentFrom(
  { signal, onBytes }: Copying,
  source: string,
  before: BigIntStats,
  offset: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await fs.open(source);
  const now = await file.stat({ bigint: true });
  if (now.size !== before.size || now.mtimeNs !== before.mtimeNs)
    throw new Refusal(`${source} has changed while it was copied`);
  for await (const chunk of file.createReadStream({ start: offset, autoClose: false, highWaterMark: 256 * 1024 })) {
    signal.throwIfAborted();
    onBytes((chunk as Buffer).length);
    yield chunk as Buffer;
  }
}

function noneIfMissing(error: unknown): null {
  if (error instanceof WorkfortError && error.code === "not_found") return null;
  throw error;
}

/** What nobody will go on with; a guest that cannot be reached keeps it. */
async function forget({ client, user }: Copying, vm: string, path: string): Promise<void> {
  const body = { path, ...(user === undefined ? {} : { user }) };
  await client.call("vm.files.delete", { params: { vm }, body }).catch(() => {});
}
