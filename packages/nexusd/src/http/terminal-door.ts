import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import {
  AttachTerminal,
  bearerProtocolPrefix,
  Reference,
  TerminalId,
  terminalProtocol,
  WorkfortError,
} from "@workfort/contract";
import type { GuestTerminals } from "@workfort/core";
import { WebSocketServer } from "ws";
import * as z from "zod";
import { admitOwner } from "./admission.ts";
import { invalid, toWorkfortError } from "./errors.ts";
import type { Guard } from "./guard.ts";
import { TerminalView } from "./terminal-view.ts";

/** of one message of a viewer: much is pasted in pieces */
const maxMessageBytes = 1024 * 1024;
const maxViews = 512;
const closeServiceRestart = 1012;

const Place = z.strictObject({ vm: Reference, terminal: TerminalId });

/**
 * Terminals as WebSockets, behind the same guard as everything else. Who may not come in is refused before the
 * upgrade; what is wrong with the VM or the terminal is told on the WebSocket, where a web page can read it.
 */
export class TerminalDoor {
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(terminalProtocol) ? terminalProtocol : false),
  });
  readonly #terminalsOf: (vm: string) => GuestTerminals;
  readonly #guard: () => Guard | null;
  readonly #views = new Set<TerminalView>();

  constructor(terminalsOf: (vm: string) => GuestTerminals, guard: () => Guard | null) {
    this.#terminalsOf = terminalsOf;
    this.#guard = guard;
  }

  /** Whether a request is for this door; any other with an `Upgrade` header is answered as if it had none. */
  wants(request: IncomingMessage): boolean {
    return request.headers.upgrade?.toLowerCase() === "websocket" && placeOf(request.url ?? "") !== null;
  }

  take(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    try {
      this.#admit(request);
      const url = new URL(request.url ?? "", "http://daemon");
      const { vm, terminal } = parse("path", Place, placeOf(request.url ?? ""));
      const wanted = parse("query", AttachTerminal, queryOf(url));
      if (this.#views.size >= maxViews)
        throw new WorkfortError("too_many", `${maxViews} terminals are being looked at already`);
      this.#server.handleUpgrade(request, socket, head, (webSocket) => {
        const size =
          wanted.columns === undefined || wanted.rows === undefined
            ? null
            : { columns: wanted.columns, rows: wanted.rows };
        const view = new TerminalView(webSocket, { id: terminal, size, readOnly: wanted.readOnly === "true" });
        this.#views.add(view);
        void view.run(() => this.#terminalsOf(vm)).finally(() => this.#views.delete(view));
        if (wanted.takeOver === "true")
          for (const other of this.#views) if (other !== view && other.isBeside(view)) other.giveWay();
      });
    } catch (error) {
      refuse(socket, toWorkfortError(error));
    }
  }

  /** Sends all viewers away: they may come back to the next daemon. */
  close(): void {
    for (const view of this.#views) view.close(closeServiceRestart);
  }

  /** A browser cannot set a header, and offers the token as a protocol. */
  #admit({ headers, socket }: IncomingMessage): void {
    const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    const token = offered.find((name) => name.startsWith(bearerProtocolPrefix))?.slice(bearerProtocolPrefix.length);
    const authorization = headers.authorization ?? (token === undefined ? undefined : `Bearer ${token}`);
    admitOwner(this.#guard(), { headers: { ...headers, authorization }, port: socket.localPort });
  }
}

function placeOf(url: string): { vm: string; terminal: string } | null {
  const found = /^\/v1\/vms\/([^/?]+)\/terminals\/([^/?]+)(?:\?|$)/.exec(url);
  return found === null ? null : { vm: found[1] ?? "", terminal: found[2] ?? "" };
}

/** A name that stands twice becomes a list, which no field takes. */
function queryOf({ searchParams }: URL): Record<string, string | string[]> {
  const names = [...new Set(searchParams.keys())];
  return Object.fromEntries(
    names.map((name) => {
      const values = searchParams.getAll(name);
      return [name, values.length === 1 ? (values[0] ?? "") : values];
    }),
  );
}

function parse<T>(place: "path" | "query", schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(place, parsed.error);
  return parsed.data;
}

function refuse(socket: Duplex, error: WorkfortError): void {
  const body = JSON.stringify(error.toProblem());
  socket.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ""}\r\n` +
      "content-type: application/problem+json; charset=utf-8\r\n" +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
