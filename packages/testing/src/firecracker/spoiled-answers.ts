import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { bytesOf } from "./answer.ts";

/** What may become of an answer on its way. */
const spoilings = {
  /** half of it, then the connection is closed */
  half: (whole: Buffer) => [whole.subarray(0, whole.length / 2)],
  /** all but its last bytes, then the connection is closed */
  "cut-body": (whole: Buffer) => [whole.subarray(0, -5)],
  /** all of it, but more is announced, which never comes */
  "long-length": (whole: Buffer) => [withLength(whole, (length) => length + 100), never],
  /** less is announced than comes */
  "short-length": (whole: Buffer) => [withLength(whole, () => 5)],
  "no-json": () => [bytesOf({ status: 200, body: "no \x1b[31mjson" })],
  "json-null": () => [bytesOf({ status: 200, body: "null" })],
  garbage: () => [Buffer.from("\0\x1b[2J nonsense\r\n\r\n")],
  "endless-head": () => endless("HTTP/1.1 200 \r\n", `X: ${"x".repeat(1000)}\r\n`),
  "endless-body": () => endless("HTTP/1.1 200 \r\n\r\n", "x".repeat(60_000)),
  /** bytes that never stop, and never are many */
  trickle: () => trickle("HTTP/1.1 200 \r\n\r\n"),
} satisfies Record<string, (whole: Buffer) => Iterable<Piece> | AsyncIterable<Piece>>;

export type Spoiling = keyof typeof spoilings;

/** waits until the other side has closed the connection */
const never = Symbol("never");
type Piece = Buffer | typeof never;

const trickleMs = 200;

export function isSpoiling(word: string): word is Spoiling {
  return Object.hasOwn(spoilings, word);
}

/** Writes what is left of an answer, then closes the connection. */
export async function sendSpoiled(how: Spoiling, whole: Buffer, socket: Socket): Promise<void> {
  for await (const piece of spoilings[how](whole)) {
    if (socket.destroyed) return;
    if (piece === never) await happens(socket, ["close"]);
    else if (!socket.write(piece)) await happens(socket, ["close", "drain"]);
  }
  socket.end();
}

async function happens(socket: Socket, events: readonly string[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const listener = (): void => resolve();
  for (const event of events) socket.once(event, listener);
  await promise;
  for (const event of events) socket.off(event, listener);
}

function withLength(whole: Buffer, change: (length: number) => number): Buffer {
  const text = whole.toString("latin1");
  return Buffer.from(
    text.replace(/^(Content-Length: )(\d+)/m, (_, name: string, length: string) => `${name}${change(Number(length))}`),
    "latin1",
  );
}

function* endless(head: string, piece: string): Generator<Buffer> {
  yield Buffer.from(head);
  for (;;) yield Buffer.from(piece);
}

async function* trickle(head: string): AsyncGenerator<Buffer> {
  yield Buffer.from(head);
  for (;;) {
    await delay(trickleMs);
    yield Buffer.from("x");
  }
}
