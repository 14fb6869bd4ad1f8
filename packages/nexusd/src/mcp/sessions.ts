import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { NodeStreamableHTTPServerTransport } from "@modelcontextprotocol/node";
import type { McpServer } from "@modelcontextprotocol/server";
import { EventMemory } from "./event-memory.ts";

/** sessions at a time; of more, the idle one that was used least recently ends */
const mostSessions = 64;
/** after so long without a request a session ends, ms */
const idleMs = 30 * 60_000;
const lookEveryMs = 60_000;
/** a client whose connection broke is asked to wait so long before it comes back, ms */
const comeBackAfterMs = 1_000;

interface Session {
  transport: NodeStreamableHTTPServerTransport;
  /** who may use it, and where */
  owner: string;
  usedAt: number;
  /** requests that are being answered; a long call is no idleness */
  calls: number;
  /** streams on which the client listens for what it did not ask for: it is still there */
  streams: number;
}

/**
 * Sessions of clients that speak a revision of MCP before 2026-07-28, where a cancellation is a request of its own
 * and finds its call only in the session of it.
 */
export class Sessions {
  /** in the order of their last use */
  readonly #sessions = new Map<string, Session>();
  readonly #timer = setInterval(() => this.#endIdle(), lookEveryMs).unref();

  /** The session, if it is the owner's; in use until the response is closed. */
  find(
    id: string,
    owner: string,
    { method }: IncomingMessage,
    response: ServerResponse,
  ): NodeStreamableHTTPServerTransport | null {
    const session = this.#sessions.get(id);
    if (session === undefined || session.owner !== owner) return null;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    const kind = method === "GET" ? "streams" : "calls";
    session[kind] += 1;
    response.once("close", () => {
      session[kind] -= 1;
      session.usedAt = Date.now();
    });
    return session.transport;
  }

  /** A transport whose session begins with the client's first request. */
  async open(owner: string, server: McpServer): Promise<NodeStreamableHTTPServerTransport> {
    const transport: NodeStreamableHTTPServerTransport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new EventMemory(),
      retryInterval: comeBackAfterMs,
      onsessioninitialized: (id) => {
        this.#endSurplus();
        this.#sessions.set(id, { transport, owner, usedAt: Date.now(), calls: 0, streams: 0 });
      },
    });
    await server.connect(transport);
    const { onclose } = transport;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a transport is no event target
    transport.onclose = () => {
      onclose?.();
      if (transport.sessionId !== undefined) this.#sessions.delete(transport.sessionId);
    };
    return transport;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#sessions.values()].map(({ transport }) => transport.close()));
  }

  /** Makes room for one. */
  #endSurplus(): void {
    if (this.#sessions.size < mostSessions) return;
    const sessions = [...this.#sessions.values()];
    const leastMissed = sessions.find(({ calls }) => calls === 0) ?? sessions[0];
    void leastMissed?.transport.close();
  }

  #endIdle(): void {
    for (const { transport, usedAt, calls, streams } of this.#sessions.values())
      if (calls + streams === 0 && Date.now() - usedAt > idleMs) void transport.close();
  }
}
