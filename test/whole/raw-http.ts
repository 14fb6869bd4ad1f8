import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import type { Problem } from "@workfort/contract";

/** Requests as no well-behaved client sends them. */

export type Door = { socketPath: string } | { host: string; port: number };

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Ask {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  /** text and bytes go as they are, anything else as JSON */
  body?: unknown;
  /** the body goes in chunks, its length untold */
  chunked?: true;
}

/** One request on a connection of its own. */
export async function ask(door: Door, { method = "GET", path, headers = {}, body, chunked }: Ask): Promise<Answer> {
  const bytes = body === undefined ? undefined : bytesOf(body);
  const length = bytes === undefined || chunked ? {} : { "content-length": String(bytes.length) };
  const options: RequestOptions = { ...door, method, path, agent: false, headers: { ...length, ...headers } };
  const outgoing = request(options);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  outgoing.once("error", reject);
  outgoing.once("response", (incoming) => {
    Array.fromAsync(incoming as AsyncIterable<Buffer>).then(
      (chunks) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }),
      reject,
    );
  });
  outgoing.end(bytes);
  return await promise;
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}

/** The problem an answer holds; fails where it holds none, or one that contradicts the answer's head. */
export function problemOf({ status, headers, body }: Answer): Problem {
  assert.equal(headers["content-type"], "application/problem+json; charset=utf-8", body.toString().slice(0, 500));
  const problem = JSON.parse(body.toString()) as Problem;
  assert.equal(problem.status, status);
  assert.equal(problem.type, `urn:workfort:error:${problem.code}`);
  return problem;
}

/** A connection on which anything can be sent. */
export class RawConnection {
  readonly #socket: Socket;
  readonly #ended: Promise<unknown>;
  #received = "";

  constructor(door: Door) {
    this.#socket = connect(("socketPath" in door ? { path: door.socketPath } : door) as NetConnectOpts);
    this.#socket.on("data", (bytes: Buffer) => (this.#received += bytes.toString("latin1")));
    this.#socket.on("error", () => {}); // a reset is one way of being closed
    this.#ended = once(this.#socket, "close");
  }

  send(bytes: string | Buffer): void {
    this.#socket.write(bytes);
  }

  /** Goes away as soon as this is sent. */
  async sendAndLeave(bytes: string): Promise<void> {
    await new Promise((sent) => this.#socket.write(bytes, sent));
    this.#socket.destroy();
  }

  /** says that no more comes */
  finish(): void {
    this.#socket.end();
  }

  get received(): string {
    return this.#received;
  }

  /** status of each answer so far */
  get statuses(): number[] {
    return [...this.#received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
  }

  /** Resolves with all that came, once the other side has closed. */
  async closed(): Promise<string> {
    await this.#ended;
    return this.#received;
  }
}
