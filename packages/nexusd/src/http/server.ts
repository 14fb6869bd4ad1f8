import { promises as fs } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { WorkfortError, type FieldIssue, type Preview } from "@workfort/contract";
import type { Forwards, GuestTerminals, Tokens, VmRecord, Vms } from "@workfort/core";
import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { admit } from "./admission.ts";
import { Guard } from "./guard.ts";
import type { Handlers } from "./handlers.ts";
import { addMcpRoutes, type Mcp } from "./mcp-routes.ts";
import { PreviewDoor } from "./preview-door.ts";
import { addRoutes, arrivalOf, sendProblem } from "./routes.ts";
import { TerminalDoor } from "./terminal-door.ts";

/** One set of routes behind two doors: the Unix socket, and TCP with a guard. */
const headersTimeoutMs = 10_000;
/** how often it is looked for connections that have passed it */
const headersCheckMs = 2_000;
const idleConnectionMs = 60_000;
const maxConnections = 2048;
/** for schemas of fastify's own, of which there are none: inputs are checked by the contract's; a hundred files fewer */
const noCompiler = (): never => {
  throw new Error("no route has a schema of fastify's");
};
/** tried in turn where the configuration names no port */
const defaultPorts = Array.from({ length: 100 }, (_, index) => 9600 + index);

export class HttpFace {
  readonly #app: FastifyInstance;
  readonly #servers: Server[] = [];
  readonly #socket: string;
  readonly #guardFor: (host: string) => Guard;
  readonly #mcp: Mcp;
  readonly #terminals: TerminalDoor;
  readonly #previews: PreviewDoor;
  #guard: Guard | null = null;
  /** host:port once TCP is served */
  tcp: string | null = null;

  constructor(needs: {
    handlers: Handlers;
    mcp: Mcp;
    terminalsOf: (vm: string) => GuestTerminals;
    vms: Vms;
    forwards: Forwards;
    tokens: Tokens;
    socket: string;
    ownersToken: string;
    log: Logger;
  }) {
    const { tokens, ownersToken } = needs;
    this.#terminals = new TerminalDoor(needs.terminalsOf, () => this.#guard);
    this.#previews = new PreviewDoor({ ...needs, guard: () => this.#guard });
    this.#socket = needs.socket;
    this.#mcp = needs.mcp;
    this.#guardFor = (host) => new Guard({ ownersToken, host, authenticate: (secret) => tokens.authenticate(secret) });
    this.#app = fastify({
      logger: false,
      exposeHeadRoutes: false,
      schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
      frameworkErrors: (error, _request, reply) => sendProblem(reply as never, inOurWords(error), needs.log),
    });
    this.#app.setErrorHandler<FastifyError>((error, _request, reply) =>
      sendProblem(reply, inOurWords(error), needs.log),
    );
    this.#app.removeAllContentTypeParsers();
    // bodies are read by the routes, each within its own bounds
    this.#app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    addRoutes(this.#app, needs.handlers, () => this.#guard, needs.log);
    addMcpRoutes(this.#app, {
      mcp: needs.mcp,
      vms: needs.vms,
      tokens,
      admit: (request) => admit(this.#guard, arrivalOf(request)),
      log: needs.log,
    });
  }

  /**
   * Serves TCP, then the socket: who finds the socket finds everything served. `listen` null takes the first free
   * default port, "off" none. Serves nothing if it fails.
   */
  async listen(listen: string | null): Promise<void> {
    await this.#app.ready();
    try {
      if (listen === null) await this.#listenFirstFree();
      else if (listen !== "off") await this.#listenConfigured(listen);
      await this.#listenUnix();
    } catch (error) {
      for (const server of this.#servers) server.close().closeAllConnections();
      throw error;
    }
  }

  /** The addresses of a VM's port for a browser; fails where TCP is not served. */
  previewOf(vm: VmRecord, port: number): Preview {
    if (this.tcp === null)
      throw new WorkfortError("wrong_state", "previews are served on TCP, which this daemon does not listen on", {
        hint: "set api.listen in nexus.yaml",
      });
    return this.#previews.addresses(vm, port, this.tcp);
  }

  /** Takes no new requests and waits for those being answered; after `graceMs` what still streams is cut. */
  async close(graceMs: number): Promise<void> {
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const server of this.#servers) server.closeIdleConnections();
    this.#terminals.close();
    this.#previews.close();
    const cut = setTimeout(() => this.#servers.forEach((server) => server.closeAllConnections()), graceMs);
    await Promise.all([...closed, this.#mcp.close()]);
    clearTimeout(cut);
    await fs.rm(this.#socket, { force: true });
  }

  async #listenUnix(): Promise<void> {
    await removeStaleSocket(this.#socket);
    const before = process.umask(0o177);
    try {
      await this.#serve({ path: this.#socket });
    } finally {
      process.umask(before);
    }
  }

  async #listenTcp(listen: string): Promise<void> {
    const at = listen.lastIndexOf(":");
    const host = listen.slice(0, at);
    this.#guard = this.#guardFor(host);
    const server = await this.#serve({ host: host.replace(/^\[|\]$/g, ""), port: Number(listen.slice(at + 1)) });
    const { port } = server.address() as AddressInfo;
    this.tcp = `${host}:${port}`;
  }

  async #listenConfigured(listen: string): Promise<void> {
    try {
      await this.#listenTcp(listen);
    } catch (error) {
      throw cannotListen(listen, error as NodeJS.ErrnoException);
    }
  }

  async #listenFirstFree(): Promise<void> {
    for (const port of defaultPorts) {
      try {
        await this.#listenTcp(`127.0.0.1:${port}`);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      }
    }
  }

  async #serve(where: { path: string } | { host: string; port: number }): Promise<Server> {
    const server = createServer(
      {
        headersTimeout: headersTimeoutMs,
        connectionsCheckingInterval: headersCheckMs,
        requestTimeout: 0,
        keepAliveTimeout: idleConnectionMs,
        shouldUpgradeCallback: (request) => this.#previews.wants(request) || this.#terminals.wants(request),
      },
      (request, response) => {
        if (this.#previews.wants(request)) void this.#previews.answer(request, response);
        else this.#app.routing(request, response);
      },
    );
    server.on("upgrade", (request, socket, head) => {
      if (this.#previews.wants(request)) void this.#previews.takeUpgrade(request, socket, head);
      else this.#terminals.take(request, socket, head);
    });
    server.maxConnections = maxConnections;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(where, resolve);
    await promise;
    server.off("error", reject);
    this.#servers.push(server);
    return server;
  }
}

function cannotListen(address: string, error: NodeJS.ErrnoException): WorkfortError {
  const hint = "set api.listen to another address:port or to off";
  return error.code === "EADDRINUSE"
    ? new WorkfortError("in_use", `${address} is in use by another program`, { hint, cause: error })
    : new WorkfortError("invalid_request", `${address} cannot be listened on: ${error.message}`, {
        hint,
        cause: error,
      });
}

/** what the framework refuses before any route sees it */
const frameworkRefusals: Record<string, FieldIssue> = {
  FST_ERR_BAD_URL: { field: "path", message: "must be percent-encoded UTF-8" },
  FST_ERR_MAX_PARAM_LENGTH: { field: "path", message: "must be of parts of at most 100 characters" },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { field: "header.content-type", message: "must be a media type" },
};

function inOurWords(error: FastifyError): Error {
  const issue = frameworkRefusals[error.code];
  if (issue === undefined) return error;
  return new WorkfortError("invalid_request", `${issue.field}: ${issue.message}`, { fields: [issue] });
}

/** A socket that nobody listens on is removed; one that answers means that another daemon is there. */
async function removeStaleSocket(path: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const probe = connect(path);
  probe.once("connect", () => resolve(null));
  probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
  const code = await promise;
  probe.destroy();
  if (code === "ENOENT") return;
  if (code !== "ECONNREFUSED") {
    throw new WorkfortError(
      "in_use",
      code === null ? `another daemon listens on ${path}` : `${path} cannot be used (${code})`,
      { hint: "nexusctl status shows it; set NEXUS_INSTANCE to run a second one" },
    );
  }
  await fs.rm(path, { force: true });
}
