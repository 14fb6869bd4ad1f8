import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { WebSocket } from "ws";
import { DaemonUnreachable } from "./errors.ts";

/** how long a WebSocket may take to be let in, in `ms` */
const handshakeMs = 15_000;

export type BodySource = Uint8Array | AsyncIterable<Uint8Array>;

type Http = Pick<typeof import("node:http"), "Agent" | "request">;

/** where a daemon listens: its Unix socket, or its TCP address with the token that guards it */
export type Target = { socket: string } | { url: string; token?: string };

export interface OutgoingRequest {
  method: string;
  /** with query */
  path: string;
  accept: string;
  contentType?: string;
  body?: BodySource;
  signal?: AbortSignal | undefined;
}

/** Requests over one keep-alive agent. */
export class Transport {
  /** socket path or URL, for messages */
  readonly address: string;
  readonly #http: Http;
  readonly #agent: Agent;
  readonly #where: RequestOptions;
  readonly #headers: Record<string, string>;

  constructor(target: Target) {
    // `import` of node:http would also load its lazy members (fetch and WebSocket): 40 ms for what is not used
    if ("socket" in target) {
      this.#http = process.getBuiltinModule("node:http");
      this.address = target.socket;
      // a server name is for TLS; looking for one costs 9 ms (the regular expression for IPv6)
      this.#where = { socketPath: target.socket, servername: "" } as RequestOptions;
      this.#headers = {};
    } else {
      const url = new URL(target.url);
      this.#http = process.getBuiltinModule(url.protocol === "https:" ? "node:https" : "node:http") as Http;
      this.address = url.origin;
      this.#where = { hostname: url.hostname.replace(/^\[|\]$/g, ""), port: url.port };
      this.#headers = target.token === undefined ? {} : { authorization: `Bearer ${target.token}` };
    }
    this.#agent = new this.#http.Agent({ keepAlive: true });
  }

  /** Sends a request; the promise is the answer's head. A body goes on being sent meanwhile. */
  async send(outgoing: OutgoingRequest): Promise<IncomingMessage> {
    outgoing.signal?.throwIfAborted();
    const { method, path, body } = outgoing;
    const request = this.#http.request({
      ...this.#where,
      agent: this.#agent,
      method,
      path,
      headers: { ...this.#headers, ...headersOf(outgoing) },
      ...(outgoing.signal === undefined ? {} : { signal: outgoing.signal }),
    });
    const head = this.#headOf(request, outgoing.signal);
    if (body === undefined || body instanceof Uint8Array) request.end(body);
    else (await import("./request-body.ts")).writeBody(request, body);
    try {
      return await head;
    } catch (error) {
      // a kept connection that the daemon closed meanwhile: asking again is safe where nothing changes
      if (method === "GET" && request.reusedSocket && error instanceof DaemonUnreachable && error.reason === "lost")
        return await this.send(outgoing);
      throw error;
    }
  }

  /** Opens a WebSocket; it has not connected yet. */
  async webSocket(path: string, protocol: string): Promise<WebSocket> {
    const { WebSocket: Socket } = await import("ws");
    const options = { headers: this.#headers, perMessageDeflate: false, handshakeTimeout: handshakeMs };
    const { socketPath } = this.#where;
    if (socketPath == null) return new Socket(`${this.address.replace(/^http/, "ws")}${path}`, protocol, options);
    const { connect } = process.getBuiltinModule("node:net");
    return new Socket(`ws://localhost${path}`, protocol, { ...options, createConnection: () => connect(socketPath) });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #headOf(request: ClientRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request.once("response", resolve);
    request.on("error", (error) =>
      reject(signal?.aborted ? signal.reason : DaemonUnreachable.from(this.address, error)),
    );
    return await promise;
  }
}

function headersOf({ accept, contentType, body }: OutgoingRequest): Record<string, string> {
  return {
    accept,
    ...(contentType === undefined ? {} : { "content-type": contentType }),
    ...(body instanceof Uint8Array ? { "content-length": String(body.length) } : {}),
  };
}
