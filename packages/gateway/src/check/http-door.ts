import type { Socket } from "node:net";
import type { Denials } from "../denials/denials.ts";
import type { Resolver } from "../dns/resolver.ts";
import { httpCheckPort } from "../rules/base-rules.ts";
import { ByteReader, writeTo } from "./byte-reader.ts";
import type { Doorkeeper } from "./doorway.ts";
import { parseAnswer, type HttpAnswer } from "./http-answer.ts";
import { readHead, relayBody } from "./http-body.ts";
import { HttpRefusal } from "./http-head.ts";
import { parseRequest, type HttpRequest } from "./http-request.ts";
import { splice } from "./splice.ts";
import { allowsHost, connectTo, TargetError } from "./target.ts";
import type { Visit } from "./visit.ts";

const httpPort = 80;
/** for a head once it has begun, and for the first one, ms */
const headMs = 30_000;
/** between two requests of a connection, ms */
const idleMs = 120_000;
/** without a byte in either direction while an answer is awaited, ms */
const silenceMs = 900_000;
/** a guest that has been refused reads why, ms */
const farewellMs = 2_000;

/** Port 80: judges every request of a connection by its Host, and passes it on to where that name leads. */
export function httpDoor(resolver: Resolver, denials: Denials): Doorkeeper {
  return {
    port: httpCheckPort,
    judge: (policy, { target }) =>
      policy.mode !== "none" && (target === null || allowsHost(policy, target.host, httpPort)),
    serve: async (visit) => await new HttpVisit(visit, resolver, denials).serve(),
  };
}

/** where requests go to */
interface HttpServer {
  host: string;
  socket: Socket;
  reader: ByteReader;
  /** whether it has answered before */
  used: boolean;
}

/** One connection: its requests one after the other, and the server that the last one went to. */
class HttpVisit {
  readonly #visit: Visit;
  readonly #resolver: Resolver;
  readonly #denials: Denials;
  readonly #reader: ByteReader;
  #server: HttpServer | null = null;

  constructor(visit: Visit, resolver: Resolver, denials: Denials) {
    this.#visit = visit;
    this.#resolver = resolver;
    this.#denials = denials;
    this.#reader = new ByteReader(visit.socket);
  }

  async serve(): Promise<void> {
    const { socket } = this.#visit;
    socket.setTimeout(silenceMs, () => this.#visit.end());
    try {
      for (let idle = headMs; ; idle = idleMs) {
        const request = await this.#nextRequest(idle);
        if (request === null) break;
        const goesOn = await this.#pass(request);
        if (!goesOn) break;
      }
      socket.end();
      await this.#farewell();
    } catch (error) {
      if (error instanceof HttpRefusal) await this.#refuse(error);
      else throw error;
    }
  }

  /** Null where the guest has nothing more to ask. */
  async #nextRequest(idle: number): Promise<HttpRequest | null> {
    const timer = setTimeout(() => this.#visit.end(), idle);
    try {
      const head = await readHead(this.#reader).catch((error: unknown) => {
        throw new HttpRefusal(400, error instanceof Error ? error.message : String(error));
      });
      return head === null ? null : parseRequest(head);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Passes a request on and its answer back; false where the connection has to end then. */
  async #pass(request: HttpRequest): Promise<boolean> {
    const { socket, guest } = this.#visit;
    if (!allowsHost(guest.policy, request.host, httpPort))
      throw new HttpRefusal(403, "the policy does not name it", request.host);
    const server = await this.#serverFor(request.host);
    await writeTo(server.socket, Buffer.from(`${request.head}\r\n\r\n`, "latin1"));
    const sent = relayBody(this.#reader, server.socket, request.body);
    sent.catch(() => this.#visit.end()); // a body without an end: nobody could say what comes behind it
    const answer = await this.#answer(request, server);
    if (answer.status === 101 && request.upgrade) {
      await sent;
      this.#reader.release();
      server.reader.release();
      await splice(socket, server.socket);
      return false;
    }
    if (!answer.keepAlive || !request.keepAlive || answer.status === 101) return false;
    await sent;
    return true;
  }

  /** Passes interim answers and the final one on. */
  async #answer(request: HttpRequest, server: HttpServer): Promise<HttpAnswer> {
    const { socket } = this.#visit;
    for (;;) {
      const head = await readHead(server.reader);
      if (head === null) {
        // one that closes between two requests is met by closing, too: then a client knows to ask again
        if (server.used) throw new Error("the server has closed the connection");
        throw new HttpRefusal(502, "the server has closed the connection", request.host);
      }
      const answer = parseAnswer(head, request);
      await writeTo(socket, Buffer.from(`${head}\r\n\r\n`, "latin1"));
      if (answer.status >= 100 && answer.status < 200 && answer.status !== 101) continue;
      if (answer.status !== 101) await relayBody(server.reader, socket, answer.body);
      server.used = true;
      return answer;
    }
  }

  async #serverFor(host: string): Promise<HttpServer> {
    const before = this.#server;
    if (before !== null && before.host === host && before.reader.quiet) return before;
    before?.socket.destroy();
    const visit = this.#visit;
    visit.target = { host, encryptedHello: false };
    try {
      const socket = await connectTo(host, httpPort, visit.guest, this.#resolver);
      visit.upstream = socket;
      if (visit.socket.destroyed) socket.destroy();
      visit.socket.once("close", () => socket.destroy());
      this.#server = { host, socket, reader: new ByteReader(socket), used: false };
      return this.#server;
    } catch (error) {
      if (error instanceof TargetError) throw new HttpRefusal(error.denied ? 403 : 502, error.message, host);
      throw new HttpRefusal(502, "its name could not be resolved", host);
    }
  }

  async #refuse({ status, message, host }: HttpRefusal): Promise<void> {
    const { guest, socket } = this.#visit;
    if (status !== 502)
      this.#denials.add(guest, {
        kind: "http",
        name: host,
        address: null,
        port: httpPort,
        protocol: "tcp",
        reason: message,
      });
    const about = host === null ? "a request on port 80" : `a request to ${host}`;
    const policy = `network policy of VM ${guest.vm.name}, mode ${guest.policy.mode}`;
    const text = `WorkFort: ${about} was ${status === 502 ? "not answered" : "denied"}: ${message} (${policy})\n`;
    const head = [
      `HTTP/1.1 ${status} ${status === 403 ? "Forbidden" : "Refused"}`,
      "Content-Type: text/plain; charset=utf-8",
      `Content-Length: ${Buffer.byteLength(text)}`,
      "Connection: close",
    ];
    if (socket.writable) socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
    await this.#farewell();
  }

  /** A connection with unread bytes would be reset, and the last words with it. */
  async #farewell(): Promise<void> {
    const timer = setTimeout(() => this.#visit.end(), farewellMs);
    while (await this.#reader.more()) this.#reader.take(this.#reader.held.length);
    clearTimeout(timer);
  }
}
