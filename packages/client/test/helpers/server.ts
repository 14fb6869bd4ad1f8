import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Client } from "@workfort/client";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** A real HTTP server on a Unix socket, which can be cut off and started again, and a client of it. */
export class TestServer implements AsyncDisposable {
  readonly socket: string;
  readonly client: Client;
  readonly #directory: string;
  readonly #answer: Answer;
  readonly #connections = new Set<Socket>();
  #server: Server | null = null;
  /** `METHOD path` of every request */
  readonly requests: string[] = [];

  private constructor(directory: string, answer: Answer) {
    this.#directory = directory;
    this.socket = join(directory, "d.sock");
    this.#answer = answer;
    this.client = createClient({ socket: this.socket });
  }

  static async start(answer: Answer): Promise<TestServer> {
    const server = new TestServer(await mkdtemp(join(tmpdir(), "client-")), answer);
    await server.listen();
    return server;
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      this.requests.push(`${request.method ?? ""} ${request.url ?? ""}`);
      void this.#answer(request, response);
    });
    server.on("connection", (socket) => {
      this.#connections.add(socket);
      socket.once("close", () => this.#connections.delete(socket));
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(this.socket, resolve);
    await promise;
    this.#server = server;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Breaks every connection, as the end of the daemon's process does. */
  cut(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  /** Breaks every connection and listens no more. */
  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server?.close(() => resolve());
    this.cut();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    if (this.#server?.listening) await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

export async function readAll(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}
