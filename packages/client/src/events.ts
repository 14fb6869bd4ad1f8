import type { ChangeType, Event } from "@workfort/contract";
import type { Client } from "./client.ts";
import { parseJson } from "./answer.ts";
import { AnswerError, DaemonUnreachable } from "./errors.ts";
import { linesOf } from "./lines.ts";
import { Backoff, retryDelaysMs } from "./retry.ts";

/** a daemon that has nothing to tell says so every 15 s; one that has said nothing for so long is gone, ms */
const silenceMs = 60_000;

export interface WatchOptions {
  /** only of the VM of this name or id */
  vm?: string | undefined;
  /** only these */
  types?: readonly ChangeType[] | undefined;
  /** id of the event to go on behind; without, only what comes from now on */
  after?: string | undefined;
  /** called whenever the daemon has taken the place: what changes from now on is told */
  onOpen?: (() => void) | undefined;
  signal?: AbortSignal | undefined;
  /** waits between tries to connect again, in `ms` */
  retryDelaysMs?: readonly number[] | undefined;
}

/**
 * What changes, as it changes, until the signal fires or the iteration is ended.
 *
 * Where the line breaks (a restart of the daemon, say), this connects again behind the last event; a `gap` tells where
 * something may have been missed, and what there is has to be asked for anew. Fails as `client.bytes` does when the
 * daemon cannot be reached at first, or does not come back.
 */
export async function* watchEvents(client: Client, options: WatchOptions = {}): AsyncGenerator<Event, void, undefined> {
  const { signal } = options;
  const backoff = new Backoff(options.retryDelaysMs ?? retryDelaysMs);
  const place: Place = { after: options.after, isOpen: false };
  for (let first = true; ; first = false) {
    place.isOpen = false;
    try {
      for await (const event of eventsOnce(client, options, place)) {
        // a reader that was too slow goes on behind it, and is told then whether it missed anything
        if (event.type !== "gap" || event.reason !== "slow") yield event;
      }
      throw new DaemonUnreachable(client.address, "lost");
    } catch (error) {
      if (signal?.aborted) return;
      if (first && !place.isOpen) throw error;
      if (place.isOpen) backoff.reset();
      await backoff.afterFailure(error, signal ?? new AbortController().signal);
    }
  }
}

interface Place {
  /** id of the last event */
  after: string | undefined;
  /** whether the daemon has said where this connection begins */
  isOpen: boolean;
}

/** One connection's events; keeps `place` up. */
async function* eventsOnce(
  client: Client,
  { vm, types, signal, onOpen }: WatchOptions,
  place: Place,
): AsyncGenerator<Event, void, undefined> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new DaemonUnreachable(client.address, "lost")), silenceMs);
  timer.unref();
  const query = { vm, after: place.after, type: types?.join(",") };
  const ending = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
  try {
    const { body } = await client.bytes("events.watch", { query }, { signal: ending });
    for await (const { id, data } of blocksOf(linesOf(noting(body, () => timer.refresh())))) {
      place.after = id ?? place.after;
      if (!place.isOpen) onOpen?.();
      place.isOpen = true;
      if (data !== null) yield toEvent(parseJson(data));
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Blocks of lines with an empty one behind them; what breaks off before that was not sent. */
async function* blocksOf(lines: AsyncIterable<string>): AsyncGenerator<{ id: string | null; data: string | null }> {
  let block: { id: string | null; data: string | null } = { id: null, data: null };
  for await (const line of lines) {
    if (line.startsWith("id: ")) block.id = line.slice("id: ".length);
    else if (line.startsWith("data: ")) block.data = line.slice("data: ".length);
    if (line !== "") continue;
    yield block;
    block = { id: null, data: null };
  }
}

async function* noting(body: AsyncIterable<Uint8Array>, note: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    note();
    yield chunk;
  }
}

/** The daemon has checked what it tells; this is a guard against talking to something else. */
function toEvent(json: unknown): Event {
  const { id, type } = Object(json) as Partial<Event>;
  if (typeof id !== "string" || typeof type !== "string")
    throw new AnswerError("an event of the daemon has no id or no type");
  return json as Event;
}
