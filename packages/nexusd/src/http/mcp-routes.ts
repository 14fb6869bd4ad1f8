import { WorkfortError } from "@workfort/contract";
import type { Tokens, Vms } from "@workfort/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { McpEndpoint } from "../mcp/endpoint.ts";
import type { Caller } from "./guard.ts";
import { sendProblem } from "./routes.ts";

/** MCP's two doors: all VMs, and one VM alone. */
export function addMcpRoutes(
  app: FastifyInstance,
  needs: { endpoint: McpEndpoint; vms: Vms; tokens: Tokens; admit: (request: FastifyRequest) => Caller; log: Logger },
): void {
  const { endpoint, vms, tokens, admit, log } = needs;
  for (const url of ["/mcp", "/v1/vms/:vm/mcp"]) {
    app.route<{ Params: { vm?: string } }>({
      method: ["GET", "POST", "DELETE"],
      url,
      handler: async (request, reply) => {
        try {
          const caller = admit(request);
          const vmId = vmOf(request.params.vm, caller);
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
