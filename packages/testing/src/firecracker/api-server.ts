import { once } from "node:events";
import { promises as fs } from "node:fs";
import { createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { bytesOf, continueHead, tooManyConnections, transportError, type Answer } from "./answer.ts";
import type { Faults } from "./faults.ts";
import { sendSpoiled } from "./spoiled-answers.ts";
import { RequestParser, TransportError, type Request } from "./request-parser.ts";

/**
 * Firecracker's HTTP server on a Unix socket: ten connections at most, and of all their requests one at a time.
 * A connection whose client has shut down its side is dropped with all it has not been answered.
 */
const maxConnections = 10;
/** for which a socket that is to be stale is */
const staleMs = 300;

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
  /** Goes on unless the process is to end, or to hang, at this moment. */
  pass(moment: string): Promise<void>;
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
      if (needs.faults.staleSocket) await leaveStale(needs.path);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.once("error", reject);
      server.listen(needs.path, resolve);
      await promise;
    },
    close: () => void server.close(),
  };
}

/** A socket's file with nobody behind it, as one is between its binding and the listening on it. */
async function leaveStale(path: string): Promise<void> {
  const bound = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  bound.listen(`${path}-bound`, resolve);
  await promise;
  await fs.link(`${path}-bound`, `${path}-stale`);
  bound.close();
  await once(bound, "close");
  await fs.rename(`${path}-stale`, path); // only now, or somebody would have been let in
  await delay(staleMs);
  await fs.rm(path);
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
  const moment = `${request.method} ${request.path}`;
  await needs.pass(moment);
  const fault = needs.faults.at(moment);
  const { answer, afterwards } =
    fault?.kind === "refuse" ? { answer: refusal(fault.words) } : await needs.answer(request);
  await delay(needs.faults.answersLateBy);
  if (fault?.kind === "spoil") await sendSpoiled(fault.how, bytesOf(answer), socket);
  else if (afterwards === undefined) socket.write(bytesOf(answer));
  else socket.write(bytesOf(answer), afterwards);
}

function refusal(words: string): Answer {
  return { status: 400, body: JSON.stringify({ fault_message: words }) };
}
