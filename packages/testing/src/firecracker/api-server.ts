import { createServer, type Socket } from "node:net";
import { bytesOf, continueHead, tooManyConnections, transportError, type Answer } from "./answer.ts";
import type { Faults } from "./faults.ts";
import { RequestParser, TransportError, type Request } from "./request-parser.ts";

/**
 * Firecracker's HTTP server on a Unix socket: ten connections at most, and of all their requests one at a time.
 * A connection whose client has shut down its side is dropped with all it has not been answered.
 */
const maxConnections = 10;

export interface ApiServer {
  /** Binds the socket; rejects where the path exists. It is never removed. */
  listen(): Promise<void>;
  close(): void;
}

interface Needs {
  path: string;
  maxPayloadBytes: number;
  faults: Faults;
  answer(request: Request): Promise<{ answer: Answer; afterwards?: () => void }>;
  exit(code: number): never;
}

export function apiServer(needs: Needs): ApiServer {
  let connections = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    if (connections === maxConnections) {
      socket.end(tooManyConnections, () => socket.destroy());
      return;
    }
    connections += 1;
    socket.on("close", () => (connections -= 1));
    socket.on("end", () => socket.destroy());
    const parser = new RequestParser(needs.maxPayloadBytes, () => socket.write(continueHead));
    socket.on("data", (bytes: Buffer) => {
      turn = turn.then(() => serve(needs, socket, parser, bytes));
    });
  });
  return {
    listen: async () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.once("error", reject);
      server.listen(needs.path, resolve);
      await promise;
    },
    close: () => void server.close(),
  };
}

/** Reads as the real server does, a buffer at a time, and answers each before it reads the next. */
async function serve(needs: Needs, socket: Socket, parser: RequestParser, bytes: Buffer): Promise<void> {
  await seeHangUp();
  let rest = bytes;
  while (rest.length > 0 && !socket.destroyed) {
    const read = rest.subarray(0, parser.room);
    rest = rest.subarray(read.length);
    try {
      for (const request of parser.read(read)) await serveOne(needs, socket, request);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      socket.write(bytesOf(transportError(error.message)));
    }
  }
}

/** A client that hung up together with its request is seen to have gone before it is served. */
async function seeHangUp(): Promise<void> {
  for (let turns = 0; turns < 2; turns += 1) await new Promise((next) => setImmediate(next));
}

async function serveOne(needs: Needs, socket: Socket, request: Request): Promise<void> {
  if (socket.destroyed) return;
  const fault = needs.faults.ofRequest(`${request.method} ${request.path}`);
  if (fault?.kind === "hang") await new Promise(() => {});
  if (fault?.kind === "exit") needs.exit(fault.code);
  const { answer, afterwards } = await needs.answer(request);
  const head = bytesOf(answer);
  if (fault?.kind === "half") socket.end(head.subarray(0, head.length / 2));
  else if (afterwards === undefined) socket.write(head);
  else socket.write(head, afterwards);
}
