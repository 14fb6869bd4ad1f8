import { createServer, type Server, type Socket } from "node:net";

/**
 * Firecracker's HTTP server, byte for byte where a driver could notice: heads without a reason phrase, one request at
 * a time, bodies by Content-Length alone, ten connections.
 */
const maxConnections = 10;
const maxLineBytes = 1024;
const maxPayloadBytes = 51_200;

export interface ApiRequest {
  method: string;
  path: string;
  /** empty where there is none */
  body: string;
}

/** 204 where there is no body */
export interface ApiAnswer {
  status: 200 | 204 | 400;
  body?: string;
}

/** thrown by a handler: its message is all that is sent before the connection is closed */
export class NoAnswer extends Error {}

export function serveApi(path: string, handle: (request: ApiRequest) => Promise<ApiAnswer>): Server {
  let open = 0;
  let queue: Promise<void> = Promise.resolve();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    if (open >= maxConnections) {
      socket.end(
        'HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n\r\n{ "error": "Too many open connections" }',
      );
      return;
    }
    open += 1;
    socket.once("close", () => (open -= 1));
    socket.once("end", () => socket.destroy()); // half a connection is none
    let held = "";
    socket.on("data", (chunk) => {
      held += chunk.toString("latin1");
      for (;;) {
        const cut = cutRequest(held);
        if (cut === null) return;
        held = cut.rest;
        queue = queue.then(() => answer(socket, cut.request, handle));
      }
    });
  });
  server.listen(path);
  return server;
}

/** The first whole request of the text; null where more has to come. A text is what cannot be a request. */
function cutRequest(held: string): { request: ApiRequest | string; rest: string } | null {
  const end = held.indexOf("\r\n\r\n");
  if (end < 0) return held.length > 16 * maxLineBytes ? { request: "Request header too large.", rest: "" } : null;
  const [first = "", ...headers] = held.slice(0, end).split("\r\n");
  if ([first, ...headers].some((line) => line.length > maxLineBytes)) return { request: "Line too long.", rest: "" };
  const line = /^(GET|PUT|PATCH|DELETE) (\S+) HTTP\/1\.[01]$/.exec(first);
  if (line === null) return { request: "Invalid HTTP Method.", rest: "" };
  const length = Number(/^content-length: *(\d+)$/im.exec(headers.join("\n"))?.[1] ?? 0);
  if (length > maxPayloadBytes)
    return {
      request: `Request payload with size ${length} is larger than the limit of ${maxPayloadBytes} allowed by server.`,
      rest: "",
    };
  const rest = held.slice(end + 4);
  if (rest.length < length) return null;
  const [, method = "", path = ""] = line;
  return { request: { method, path, body: rest.slice(0, length) }, rest: rest.slice(length) };
}

async function answer(
  socket: Socket,
  request: ApiRequest | string,
  handle: (request: ApiRequest) => Promise<ApiAnswer>,
): Promise<void> {
  if (typeof request === "string") {
    const body = `{ "error": "${request}\nAll previous unanswered requests will be dropped." }`;
    socket.write(encode({ status: 400, body }));
    return;
  }
  try {
    socket.write(encode(await handle(request)));
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    socket.end(error.message);
  }
}

function encode({ status, body }: ApiAnswer): string {
  const head = `HTTP/1.1 ${status} \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n`;
  if (body === undefined) return `${head}\r\n`;
  return `${head}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
