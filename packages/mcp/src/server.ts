import { McpServer, type CallToolResult, type ServerContext } from "@modelcontextprotocol/server";
import { WorkfortError } from "@workfort/client";
import { Reference } from "@workfort/contract";
import * as z from "zod";
import type { Daemon } from "./daemon.ts";
import type { Tool, ToolResult } from "./tool.ts";
import { guestTools, hostTools, hostToolsOfOneVm } from "./tools/index.ts";

/** what one client is served */
export interface Offer {
  /** narrowed already to what the client may touch */
  daemon: Daemon;
  version: string;
  /** the only VM there is, for an endpoint of its own; null where tools name the VM */
  vm: string | null;
  /** names of the tools that it may use; null for all */
  tools: readonly string[] | null;
}

const vmField = { vm: Reference.describe('name or id of the VM to work in, for example "dev"; vm_list shows them') };

/** A server for one client, or for one of its requests. */
export function makeMcpServer(offer: Offer): McpServer {
  const { vm, tools } = offer;
  const server = new McpServer(
    { name: "workfort", title: "WorkFort", version: offer.version },
    { capabilities: { tools: { listChanged: false } }, instructions: instructions(vm) },
  );
  for (const tool of offered(vm)) {
    if (tools !== null && !tools.includes(tool.name)) continue;
    const { title, description, input, output, annotations } = tool;
    server.registerTool(
      tool.name,
      { title, description, inputSchema: input, outputSchema: output, annotations: { title, ...annotations } },
      (given, context) => answer(tool, given, offer.daemon, context),
    );
  }
  return server;
}

function instructions(vm: string | null): string {
  const what =
    vm === null
      ? "Virtual machines for agents: vm_list shows them, vm_create makes one."
      : `The virtual machine "${vm}" is yours to work in.`;
  return `${what} Commands run in it as root unless told otherwise; nothing outside of it can be reached or harmed. Use run_command for what ends soon, run_command_async for servers and long jobs.`;
}

/** Every tool as it is offered: with the VM among its input, or filled in. */
function* offered(vm: string | null): Generator<Tool> {
  for (const tool of guestTools) {
    const input = vm === null ? z.object({ ...vmField, ...tool.input.shape }) : tool.input;
    yield {
      ...tool,
      input,
      run: async ({ vm: named, ...given }, call) => await tool.run(given, vm ?? String(named), call),
    };
  }
  for (const tool of hostTools) {
    if (vm === null) yield tool;
    else if (hostToolsOfOneVm.has(tool))
      yield {
        ...tool,
        input: tool.input.omit({ vm: true }),
        run: async (given, call) => await tool.run({ ...given, vm }, call),
      };
  }
}

async function answer(tool: Tool, given: unknown, daemon: Daemon, context: ServerContext): Promise<CallToolResult> {
  const { signal } = context.mcpReq;
  using progress = new Progress(context);
  try {
    const tell = (message: string): void => progress.tell(message);
    const result: ToolResult<unknown> = await tool.run(given as never, { daemon, signal, tell });
    return { content: [{ type: "text", text: result.text }], structuredContent: result.data as never };
  } catch (error) {
    if (!(error instanceof WorkfortError)) throw error;
    const hint = error.hint === undefined ? "" : `\n${error.hint}`;
    return { content: [{ type: "text", text: `${error.message} (${error.code})${hint}` }], isError: true };
  }
}

/** a caller is told at least so often that the work goes on, ms: its patience may end after a minute of silence */
const aliveEveryMs = 5_000;

/** Sends progress where the caller gave a token for it; what cannot be sent is nobody's loss. */
class Progress {
  readonly #context: ServerContext;
  readonly #begun = performance.now();
  readonly #timer: NodeJS.Timeout;
  #count = 0;

  constructor(context: ServerContext) {
    this.#context = context;
    const alive = (): void => this.tell(`${Math.round((performance.now() - this.#begun) / 1000)} s so far`);
    this.#timer = setInterval(alive, aliveEveryMs);
  }

  tell(message: string): void {
    const { _meta: meta, notify } = this.#context.mcpReq;
    const progressToken = meta?.progressToken;
    if (progressToken === undefined) return;
    this.#timer.refresh();
    this.#count += 1;
    const params = { progressToken, progress: this.#count, message };
    void notify({ method: "notifications/progress", params }).catch(() => {});
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
