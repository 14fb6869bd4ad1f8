import { WorkfortError } from "@workfort/contract/errors";
import type { BytesAnswer, Client } from "./client.ts";
import { Backoff, retryDelaysMs } from "./retry.ts";

export interface FileFacts {
  /** bytes */
  size: number;
  /** permissions, as for chmod */
  mode: number;
  /** Unix ms */
  modifiedMs: number;
}

export interface ReadFileOptions {
  /** first byte wanted */
  offset?: number;
  signal: AbortSignal;
  /** the line broke and is made again; the content goes on where it stopped */
  onBreak?: (error: unknown) => void;
}

type Place = { path: string; user?: string };

/** What is known of a file in a VM, without its content. */
export async function fileFacts(client: Client, vm: string, place: Place, signal: AbortSignal): Promise<FileFacts> {
  const query = { ...place, length: "0" };
  const answer = await client.bytes("vm.files.read", { params: { vm }, query }, { signal });
  for await (const _ of answer.body); // there is none
  return factsOf(answer);
}

/**
 * Reads a file in a VM, over breaks of the line and restarts of the daemon. A file that has become another meanwhile
 * fails with `guest_conflict`.
 */
export async function readFile(
  client: Client,
  vm: string,
  place: Place,
  options: ReadFileOptions,
): Promise<{ facts: FileFacts; content: AsyncGenerator<Uint8Array, void, undefined> }> {
  const { offset = 0, signal } = options;
  const open = async (at: number): Promise<BytesAnswer> =>
    await client.bytes("vm.files.read", { params: { vm }, query: { ...place, offset: String(at) } }, { signal });
  const first = await open(offset);
  const facts = factsOf(first);
  return { facts, content: contentOf(first, facts, { open, offset, place, options }) };
}

async function* contentOf(
  first: BytesAnswer,
  facts: FileFacts,
  about: { open: (at: number) => Promise<BytesAnswer>; offset: number; place: Place; options: ReadFileOptions },
): AsyncGenerator<Uint8Array, void, undefined> {
  const backoff = new Backoff(retryDelaysMs);
  let at = about.offset;
  for (let answer: BytesAnswer | null = first; ; answer = null) {
    try {
      const open = answer ?? (await about.open(at));
      checkSame(facts, factsOf(open), about.place);
      for await (const chunk of open.body) {
        backoff.reset();
        at += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      await backoff.afterFailure(error, about.options.signal);
      about.options.onBreak?.(error);
    }
  }
}

/** Fails where what is read is not what it was at first. */
export function checkSame(before: FileFacts, now: FileFacts, { path }: Place): void {
  if (before.size === now.size && before.modifiedMs === now.modifiedMs) return;
  throw new WorkfortError("guest_conflict", `${path} has changed in the VM while it was read`, { hint: "try again" });
}

function factsOf({ headers }: BytesAnswer): FileFacts {
  return {
    size: Number(headers["workfort-size"]),
    mode: Number.parseInt(String(headers["workfort-mode"] ?? "0644"), 8),
    modifiedMs: Number(headers["workfort-modified"]),
  };
}
