import type { IncomingMessage, ServerResponse } from "node:http";
import { toNodeHandler, toWebRequest, type NodeIncomingMessageLike } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest, type AuthInfo, type McpServer } from "@modelcontextprotocol/server";
import type { Tokens } from "@workfort/core";
import { makeMcpServer } from "@workfort/mcp";
import type { Logger } from "pino";
import { readJsonBody } from "../http/body.ts";
import { toWorkfortError } from "../http/errors.ts";
import type { Caller } from "../http/guard.ts";
import type { Handlers } from "../http/handlers.ts";
import { version } from "../version.ts";
import { askLocally, daemonOf, type Ask } from "./local-daemon.ts";
import { askAsToken } from "./scope.ts";
import { Sessions } from "./sessions.ts";

/** who asks, and for which VM alone, if for one */
interface Visit {
  caller: Caller;
  vmId: string | null;
}

/**
 * MCP over Streamable HTTP. Requests of the revision 2026-07-28 are served each by itself, those of older ones in
 * sessions. Whoever asks has been let in already; what is served is what that caller may use.
 */
export class McpEndpoint {
  readonly #ask: Ask;
  readonly #tokens: Tokens;
  readonly #defaults: { memoryMiB: number; vcpuCount: number };
  readonly #sessions = new Sessions();
  readonly #modern: ReturnType<typeof createMcpHandler>;
  readonly #serveModern: ReturnType<typeof toNodeHandler>;

  constructor(needs: {
    handlers: Handlers;
    tokens: Tokens;
    defaults: { memoryMiB: number; vcpuCount: number };
    log: Logger;
  }) {
    this.#ask = askLocally(needs.handlers);
    this.#tokens = needs.tokens;
    this.#defaults = needs.defaults;
    const onerror = (error: Error): void => needs.log.debug({ err: error }, "an MCP request failed");
    this.#modern = createMcpHandler(({ authInfo }) => this.#serverFor(visitOf(authInfo)), {
      legacy: "reject",
      onerror,
    });
    this.#serveModern = toNodeHandler(this.#modern, { onerror });
  }

  async serve(request: IncomingMessage, response: ServerResponse, visit: Visit): Promise<void> {
    let body: unknown;
    try {
      body = request.method === "POST" ? await readJsonBody(request) : undefined;
    } catch (error) {
      const { status, message } = toWorkfortError(error);
      refuse(response, status, parseError, message);
      return;
    }
    const incoming = Object.assign(request, { auth: authOf(visit) }) as NodeIncomingMessageLike;
    if (!(await isLegacyRequest(await toWebRequest(incoming, body), body))) {
      await this.#serveModern(incoming, response, body);
      return;
    }
    const owner = ownerOf(visit);
    const id = request.headers["mcp-session-id"];
    const known = typeof id === "string" ? this.#sessions.find(id, owner, request, response) : null;
    if (typeof id === "string" && known === null) {
      refuse(response, 404, noSession, "there is no such session");
      return;
    }
    const transport = known ?? (await this.#sessions.open(owner, this.#serverFor(visit)));
    await transport.handleRequest(request, response, body);
    if (transport.sessionId === undefined) await transport.close(); // it was no beginning of a session
  }

  async close(): Promise<void> {
    await Promise.all([this.#modern.close(), this.#sessions.close()]);
  }

  #serverFor({ caller, vmId }: Visit): McpServer {
    const token = caller.kind === "token" ? caller.token : null;
    const ask = token === null ? this.#ask : askAsToken(this.#ask, this.#tokens, token.id, this.#defaults);
    return makeMcpServer({ daemon: daemonOf(ask), version, vm: vmId, tools: token?.tools ?? null });
  }
}

/** of JSON-RPC 2.0 */
const parseError = -32_700;
/** what the SDK's own servers give */
const noSession = -32_001;

/** Answers what is no message, or none of a session. */
function refuse(response: ServerResponse, status: number, code: number, message: string): void {
  // the rest of a body that was not read whole is no next request
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify({ jsonrpc: "2.0", error: { code, message }, id: null }));
}

/** Whose session it is: nobody else's token opens it, and no other endpoint. */
function ownerOf({ caller, vmId }: Visit): string {
  return `${caller.kind === "token" ? caller.token.id : "owner"} ${vmId ?? ""}`;
}

/** The SDK hands this through to where a server is made. */
function authOf(visit: Visit): AuthInfo {
  return { token: "", clientId: ownerOf(visit), scopes: [], extra: { visit } };
}

function visitOf(info: AuthInfo | undefined): Visit {
  const visit = info?.extra?.["visit"] as Visit | undefined;
  if (visit === undefined) throw new Error("an MCP request came in without its caller");
  return visit;
}
