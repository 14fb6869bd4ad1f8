import { promises as fs } from "node:fs";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { errorCatalogue, WorkfortError } from "@workfort/contract/errors";
import { NetworkPolicy, type Denial } from "@workfort/contract/network";
import { gatewayProtocol, GatewaySettings, GatewayState, GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import * as z from "zod";
import type { Gateway } from "../gateway.ts";
import { version } from "../version.ts";

/** a state of a thousand VMs with long policies */
const maxBodyBytes = 256 * 1024 * 1024;
/** of a follower that does not read */
const maxUnreadBytes = 4 * 1024 * 1024;

const startedAtMs = Date.now();

type Handler = (request: IncomingMessage, url: URL, id: string) => Promise<unknown>;

/** What nexusd asks of the gateway, on a Unix socket that only its owner reaches (codex/reference/gateway-protocol.md). */
export class ControlServer {
  readonly #gateway: Gateway;
  readonly #server: Server;
  readonly #routes: [method: string, path: RegExp, handler: Handler][];

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
    const empty = async (change: Promise<void>): Promise<object> => (await change, {});
    this.#routes = [
      ["GET", /^\/v1\/status$/, async () => this.#status()],
      ["PUT", /^\/v1\/state$/, async (request) => empty(gateway.putState(await bodyOf(request, GatewayState)))],
      [
        "PUT",
        /^\/v1\/settings$/,
        async (request) => empty(gateway.putSettings(await bodyOf(request, GatewaySettings))),
      ],
      ["PUT", /^\/v1\/vms\/([^/]+)$/, async (request, _, id) => empty(gateway.putVm(await vmOf(request, id)))],
      ["DELETE", /^\/v1\/vms\/([^/]+)$/, async (_, __, id) => empty(gateway.removeVm(id))],
      [
        "PUT",
        /^\/v1\/vms\/([^/]+)\/policy$/,
        async (request, _, id) => empty(gateway.putPolicy(id, await bodyOf(request, NetworkPolicy))),
      ],
      ["GET", /^\/v1\/vms\/([^/]+)\/counters$/, async (_, __, id) => await this.#countersOf(id)],
      ["GET", /^\/v1\/counters$/, async () => await gateway.counters()],
      ["GET", /^\/v1\/inventory$/, async () => await gateway.inventory()],
    ];
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  async listen(path: string): Promise<void> {
    await fs.rm(path, { force: true }); // of one that was killed: who starts a gateway knows that there is no other
    const before = process.umask(0o177);
    try {
      this.#server.listen(path);
      await once(this.#server, "listening");
    } finally {
      process.umask(before);
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeIdleConnections();
    setTimeout(() => this.#server.closeAllConnections(), 2_000).unref();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? "/", "http://gateway");
      if (request.method === "GET" && url.pathname === "/v1/denials") {
        this.#denials(url, response);
        return;
      }
      for (const [method, path, handler] of this.#routes) {
        const match = path.exec(url.pathname);
        if (match === null || request.method !== method) continue;
        send(response, 200, await handler(request, url, match[1] ?? ""));
        return;
      }
      throw new WorkfortError("not_found", `there is no ${request.method} ${url.pathname}`);
    } catch (error) {
      const code = error instanceof WorkfortError ? error.code : "internal";
      const message = error instanceof Error ? error.message : String(error);
      send(response, errorCatalogue[code].status, { error: { code, message } });
    }
  }

  #status(): object {
    return { protocol: gatewayProtocol, version, pid: process.pid, startedAtMs, vms: this.#gateway.vmIds };
  }

  async #countersOf(id: string): Promise<object> {
    const counters = (await this.#gateway.counters())[id];
    if (counters === undefined) throw new WorkfortError("not_found", `no VM ${id} is attached`);
    return counters;
  }

  /** One JSON object a line; a follower that does not keep up is cut off, and may come back by its last number. */
  #denials({ searchParams }: URL, response: ServerResponse): void {
    const vmId = searchParams.get("vm");
    const after = Number(searchParams.get("after") ?? 0);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const tell = (denial: Denial): void => {
      if (vmId !== null && denial.vmId !== vmId) return;
      response.write(`${JSON.stringify(denial)}\n`);
      if (response.writableLength > maxUnreadBytes) response.destroy();
    };
    for (const denial of this.#gateway.denials.list(Number.isSafeInteger(after) ? after : 0, vmId)) tell(denial);
    if (searchParams.get("follow") !== "true") {
      response.end();
      return;
    }
    response.flushHeaders();
    const stop = this.#gateway.denials.follow(tell);
    response.on("close", stop);
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function vmOf(request: IncomingMessage, id: string): Promise<GatewayVm> {
  const vm = await bodyOf(request, GatewayVm);
  if (vm.id !== id) throw new WorkfortError("invalid_request", `the body is of ${vm.id}, the path of ${id}`);
  return vm;
}

async function bodyOf<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new WorkfortError("too_large", "the body is too large");
    chunks.push(chunk);
  }
  try {
    return schema.parse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  } catch (error) {
    throw new WorkfortError("invalid_request", error instanceof z.ZodError ? z.prettifyError(error) : String(error));
  }
}
