import { mkdtemp, mkdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileCache } from "@workfort/testing";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** An HTTP server where nexusctl expects its daemon; what it answers is each test's. */
export class FakeDaemon implements AsyncDisposable {
  readonly directory: string;
  /** for a nexusctl that talks to this one */
  readonly env: Record<string, string>;
  readonly requests: string[] = [];
  readonly #server;

  private constructor(directory: string, answer: Answer) {
    this.directory = directory;
    this.env = environment(directory);
    this.#server = createServer((request, response) => {
      this.requests.push(`${request.method ?? ""} ${request.url ?? ""}`);
      void answer(request, response);
    });
  }

  static async start(answer: Answer): Promise<FakeDaemon> {
    const directory = await mkdtemp(join(tmpdir(), "nexusctl-"));
    await mkdir(join(directory, "run/nexus"), { recursive: true });
    const daemon = new FakeDaemon(directory, answer);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    daemon.#server.once("error", reject);
    daemon.#server.listen(join(directory, "run/nexus/nexus.sock"), resolve);
    await promise;
    return daemon;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** An environment in which nothing of this machine's user is found. */
export function environment(directory: string): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: directory,
    XDG_RUNTIME_DIR: join(directory, "run"),
    XDG_STATE_HOME: join(directory, "state"),
    ...compileCache,
    NEXUS_INSTANCE: "nexus",
  };
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
