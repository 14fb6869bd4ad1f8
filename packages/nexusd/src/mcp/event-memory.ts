import type { EventStore, JSONRPCMessage } from "@modelcontextprotocol/server";

/** of one session: there are at most 64 sessions. A larger answer cannot be asked for again */
const mostBytes = 512 * 1024;
const mostEvents = 1024;

interface Kept {
  id: number;
  stream: string;
  message: JSONRPCMessage;
  bytes: number;
}

/**
 * What a session's streams carried last, for a client whose connection broke: it names the last event that it has
 * (`Last-Event-ID`), and gets those that followed. One whose successors are not all held is unknown.
 */
export class EventMemory implements EventStore {
  #events: Kept[] = [];
  #bytes = 0;
  #last = 0;

  storeEvent(stream: string, message: JSONRPCMessage): Promise<string> {
    this.#last += 1;
    const bytes = JSON.stringify(message).length;
    this.#events.push({ id: this.#last, stream, message, bytes });
    this.#bytes += bytes;
    while (this.#bytes > mostBytes || this.#events.length > mostEvents) this.#bytes -= this.#events.shift()?.bytes ?? 0;
    return Promise.resolve(String(this.#last));
  }

  getStreamIdForEventId(id: string): Promise<string | undefined> {
    return Promise.resolve(this.#events.find((event) => String(event.id) === id)?.stream);
  }

  async replayEventsAfter(
    last: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const stream = await this.getStreamIdForEventId(last);
    if (stream === undefined) throw new Error(`there is no event ${last} any more`);
    for (const event of this.#events.filter(({ id, stream: of }) => id > Number(last) && of === stream))
      await send(String(event.id), event.message);
    return stream;
  }
}
