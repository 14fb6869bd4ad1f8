import type { ServerResponse } from "node:http";
import { EventId, eventStreamType, heartbeatMs, WorkfortError, type Event } from "@workfort/contract";
import type { EventReader } from "@workfort/core";

/**
 * Events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * What a reader has not taken yet lies in its connection's buffer, at most one batch of it; the rest waits among the
 * events that are held for all.
 */
const batchEvents = 64;
/** a reader that takes nothing for so long, or not the end, is let go, ms */
const stallMs = 60_000;

/** The event to go on behind: a browser that connects again says it in the header, with its first address. */
export function placeAsked(header: string | string[] | undefined, after: string | undefined): string | undefined {
  if (header === undefined || header === "") return after;
  const parsed = EventId.safeParse(header);
  if (parsed.success) return parsed.data;
  const issue = { field: "header.last-event-id", message: parsed.error.issues[0]?.message ?? "" };
  throw new WorkfortError("invalid_request", `${issue.field}: ${issue.message}`, { fields: [issue] });
}

/** Writes until the reader is over or the caller goes away. */
export async function sendEvents(response: ServerResponse, reader: EventReader): Promise<void> {
  response.once("close", () => reader.close());
  response.writeHead(200, {
    "content-type": eventStreamType,
    "cache-control": "no-store",
    connection: "close", // kept, it would hold up the end of the daemon
    "x-content-type-options": "nosniff",
  });
  for (;;) {
    const events = reader.take(batchEvents);
    const isOver = reader.isOver;
    const hasRoom = response.write(events.length === 0 ? heartbeat(reader.place) : events.map(frame).join(""));
    if (isOver || response.destroyed) break;
    if (!hasRoom && !(await awaitRoom(response, reader))) break;
    await reader.wait(heartbeatMs);
  }
  finish(response);
}

/** A comment, and the place to go on behind; a reader takes it from the block although there is no event in it. */
function heartbeat(place: string): string {
  return `:\nid: ${place}\n\n`;
}

function frame(event: Event): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** False where nothing was taken in time, or the caller has gone. */
async function awaitRoom(response: ServerResponse, reader: EventReader): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const drained = (): void => resolve(true);
  const closed = (): void => resolve(false);
  const timer = setTimeout(closed, stallMs);
  response.once("drain", drained);
  response.once("close", closed);
  void reader.lost.then(drained);
  const hasRoom = await promise;
  clearTimeout(timer);
  response.off("drain", drained);
  response.off("close", closed);
  if (!hasRoom) response.destroy();
  return hasRoom;
}

/** The end has its time to arrive, too. */
function finish(response: ServerResponse): void {
  const timer = setTimeout(() => response.destroy(), stallMs);
  timer.unref();
  response.once("close", () => clearTimeout(timer));
  response.end();
}
