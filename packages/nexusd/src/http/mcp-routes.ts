import { WorkfortError } from "@workfort/contract";
import type { Tokens, Vms } from "@workfort/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { McpEndpoint } from "../mcp/endpoint.ts";
import type { Caller } from "./guard.ts";
import { sendProblem } from "./routes.ts";

/** The endpoint, made when it is first asked for: most daemons of a laptop never are. */
export class Mcp {
  readonly #make: () => Promise<McpEndpoint>;
  #endpoint: Promise<McpEndpoint> | null = null;

  constructor(make: () => Promise<McpEndpoint>) {
    this.#make = make;
  }

  endpoint(): Promise<McpEndpoint> {
    return (this.#endpoint ??= this.#make());
  }

  async close(): Promise<void> {
    await (await this.#endpoint)?.close();
  }
}

/** MCP's two doors: all VMs, and one VM alone. */
export function addMcpRoutes(
  app: FastifyInstance,
  needs: { mcp: Mcp; vms: Vms; tokens: Tokens; admit: (request: FastifyRequest) => Caller; log: Logger },
): void {
  const { mcp, vms, tokens, admit, log } = needs;
  for (const url of ["/mcp", "/v1/vms/:vm/mcp"]) {
    app.route<{ Params: { vm?: string } }>({
      method: ["GET", "POST", "DELETE"],
      url,
      handler: async (request, reply) => {
        try {
          const caller = admit(request);
          const vmId = vmOf(request.params.vm, caller);
          const endpoint = await mcp.endpoint();
          reply.hijack();
          await endpoint.serve(request.raw, reply.raw, { caller, vmId });
        } catch (error) {
          sendProblem(reply, error, log);
        }
      },
    });
  }

  function vmOf(reference: string | undefined, caller: Caller): string | null {
    if (reference === undefined) return null;
    if (reference.length > 100) throw new WorkfortError("not_found", "there is no such VM");
    return caller.kind === "owner" ? vms.find(reference).id : tokens.vmFor(caller.token.id, reference).id;
  }
}
