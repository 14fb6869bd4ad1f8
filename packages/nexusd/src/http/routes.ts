import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  operationNames,
  operations,
  progressType,
  WorkfortError,
  type Operation,
  type OperationName,
  type ProgressLine,
} from "@workfort/contract";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { admitOwner, type Arrival } from "./admission.ts";
import { readJsonBody } from "./body.ts";
import { toWorkfortError } from "./errors.ts";
import { sendEvents } from "./event-stream.ts";
import type { Guard } from "./guard.ts";
import { Bytes, EventStream, type Call, type Handlers } from "./handlers.ts";
import { checkInput } from "./input.ts";

/** Makes a route of every row of the operations table. */
export function addRoutes(app: FastifyInstance, handlers: Handlers, guard: () => Guard | null, log: Logger): void {
  for (const name of operationNames) {
    const row: Operation = operations[name];
    app.route({
      method: row.method,
      url: row.path.replace(/\{(\w+)\}/g, ":$1"),
      handler: async (request, reply) => {
        try {
          admitOwner(guard(), arrivalOf(request), row.public ?? false);
          await answer(name, row, handlers, request, reply);
        } catch (error) {
          sendProblem(reply, error, log);
        }
      },
    });
  }
  app.setNotFoundHandler((request, reply) => {
    try {
      admitOwner(guard(), arrivalOf(request));
      throw unknownPath(request.method, request.url.split("?")[0] ?? "", reply);
    } catch (error) {
      sendProblem(reply, error, log);
    }
  });
}

/** A request as its admission sees it. */
export function arrivalOf({ headers, raw }: FastifyRequest): Arrival {
  return { headers, port: raw.socket.localPort };
}

type AnyHandler = (input: unknown, call: Call) => unknown;

async function answer(
  name: OperationName,
  row: Operation,
  handlers: Handlers,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const input = checkInput(row, {
    params: request.params,
    query: request.query,
    body: row.body === undefined ? undefined : await readJsonBody(request.raw),
  });
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort(new Error("the caller went away")));
  const wantsLines = row.answer === "progress" && (request.headers.accept ?? "").includes(progressType);
  const lines = wantsLines ? new ProgressWriter(reply) : null;
  const call: Call = {
    signal: gone.signal,
    onProgress: (progress) => lines?.write({ progress }),
    bytes: request.raw,
    headers: request.headers,
  };
  const handler = handlers[name] as AnyHandler;
  if (lines !== null) {
    await lines.finish(async () => await handler(input, call));
    return;
  }
  const result = await handler(input, call);
  if (result instanceof Bytes) await sendBytes(reply, row, result);
  else if (result instanceof EventStream) {
    reply.hijack();
    await sendEvents(reply.raw, result.reader);
  } else if (row.status === 204) await reply.code(204).send();
  else
    await reply
      .code(row.status ?? 200)
      .header("content-type", "application/json; charset=utf-8")
      .send(JSON.stringify(result));
}

async function sendBytes(reply: FastifyReply, row: Operation, bytes: Bytes): Promise<void> {
  reply.hijack();
  reply.raw.writeHead(200, {
    "content-type": row.mediaType ?? "application/octet-stream",
    "x-content-type-options": "nosniff",
    ...bytes.headers,
  });
  reply.raw.flushHeaders();
  // a source that fails cuts the connection, which is how the caller learns that the answer is not whole
  await pipeline(
    bytes.source instanceof Readable ? bytes.source : Readable.from(bytes.source, { objectMode: false }),
    reply.raw,
  ).catch(() => reply.raw.destroy());
}

/** Writes a `progress` answer as lines; nothing is sent before there is something to say. */
class ProgressWriter {
  readonly #reply: FastifyReply;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
  }

  write(line: ProgressLine): void {
    const { raw } = this.#reply;
    if (!this.#reply.sent) {
      this.#reply.hijack();
      raw.writeHead(200, { "content-type": progressType });
    }
    if (!raw.writableEnded) raw.write(`${JSON.stringify(line)}\n`);
  }

  /** A failure before the first line is an ordinary problem answer; after it, the last line. */
  async finish(work: () => Promise<unknown>): Promise<void> {
    try {
      this.write({ result: await work() });
    } catch (error) {
      if (!this.#reply.sent) throw error;
      this.write({ problem: toWorkfortError(error).toProblem() });
    }
    this.#reply.raw.end();
  }
}

export function sendProblem(reply: FastifyReply, error: unknown, log: Logger): void {
  const known = toWorkfortError(error);
  if (known.code === "internal") log.error({ err: known.cause }, "a defect answered a request");
  if (reply.sent || reply.raw.headersSent) {
    reply.raw.destroy();
    return;
  }
  if (known.status === 401) void reply.header("www-authenticate", "Bearer"); // RFC 9110, 11.6.1
  if (known.code === "too_large" || known.code === "request_timeout") void reply.header("connection", "close");
  void reply
    .code(known.status)
    .header("content-type", "application/problem+json; charset=utf-8")
    .send(JSON.stringify(known.toProblem()));
}

function unknownPath(method: string, path: string, reply: FastifyReply): WorkfortError {
  const allowed = operationNames
    .map((name) => operations[name])
    .filter((row) => new RegExp(`^${row.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(path));
  if (allowed.length === 0)
    return new WorkfortError("not_found", `there is no path ${path.slice(0, 200)}`, {
      hint: "GET /v1/openapi.json lists them",
    });
  const methods = [...new Set(allowed.map((row) => row.method))].join(", ");
  void reply.header("allow", methods);
  return new WorkfortError("method_not_allowed", `${path.slice(0, 200)} takes ${methods}, not ${method}`);
}
