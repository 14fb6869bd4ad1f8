import type { Process } from "@workfort/contract";
import { WorkfortError } from "@workfort/contract/errors";
import type { Client } from "./client.ts";
import { gather } from "./gather.ts";
import { Backoff } from "./retry.ts";

/** in one request; what may have to be sent again after a break */
const maxPieceBytes = 1024 * 1024;

export interface Feed {
  client: Pick<Client, "call" | "send">;
  params: { vm: string; process: string };
  source: AsyncIterable<Uint8Array>;
  signal: AbortSignal;
  retryDelaysMs: readonly number[];
}

/** Writes a source to a process's stdin to its end and closes it; ends early where the process takes no more. */
export async function feedStdin(feed: Feed): Promise<void> {
  let offset = 0;
  for await (const piece of gather(feed.source, maxPieceBytes, feed.signal)) {
    if (!(await sendPiece(feed, piece, offset, false))) return;
    offset += piece.length;
  }
  feed.signal.throwIfAborted();
  await sendPiece(feed, Buffer.alloc(0), offset, true);
}

/**
 * Sends one piece; what of it had arrived before a break is asked for, not sent twice.
 * False where the process has ended or closed its stdin.
 */
async function sendPiece(feed: Feed, piece: Buffer, offset: number, close: boolean): Promise<boolean> {
  const { client, params, signal } = feed;
  const backoff = new Backoff(feed.retryDelaysMs);
  let sent = 0;
  for (;;) {
    try {
      const query = { offset: String(offset + sent), close: close ? ("true" as const) : ("false" as const) };
      await client.send("process.stdin", { params, query }, piece.subarray(sent), { signal });
      return true;
    } catch (error) {
      if (!isConflict(error)) await backoff.afterFailure(error, signal);
      const now = await processNow(feed, backoff);
      if (now === null || now.state === "exited" || now.stdin.state !== "open")
        return close && now?.stdin.state === "closed";
      const accepted = now.stdin.accepted - offset;
      if (isConflict(error) && accepted === sent) throw error;
      if (accepted < 0 || accepted > piece.length) throw error;
      sent = accepted;
      if (sent === piece.length && !close) return true;
    }
  }
}

async function processNow({ client, params, signal }: Feed, backoff: Backoff): Promise<Process | null> {
  for (;;) {
    try {
      return await client.call("process.get", { params }, { signal });
    } catch (error) {
      if (error instanceof WorkfortError && error.code === "not_found") return null;
      await backoff.afterFailure(error, signal);
    }
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof WorkfortError && error.code === "guest_conflict";
}
