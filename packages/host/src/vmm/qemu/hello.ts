import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Opens the virtio-serial channel to a guest agent.
 *
 * The port has no notion of a connection, so both ends resynchronise: we send a hello line with a nonce and discard
 * whatever comes before the answer with that nonce (codex/reference/guest-protocol.md). Without an answer we hang
 * up, leave a gap that the guest can notice, and try again. Rejects where `connect` does.
 */
const firstAttemptMs = 2_000;
const maxAttemptMs = 8_000;
const firstGapMs = 50;
const maxGapMs = 1_000;
/** stale bytes a guest may make us discard in one attempt */
const maxDiscardedBytes = 256 * 1024 * 1024;

export async function openChannel(connect: () => Promise<Socket>, signal: AbortSignal): Promise<Socket> {
  let attemptMs = firstAttemptMs;
  let gapMs = firstGapMs;
  for (;;) {
    signal.throwIfAborted();
    const socket = await tryHello(await connect(), attemptMs, signal);
    if (socket !== null) return socket;
    await delay(gapMs, undefined, { signal });
    attemptMs = Math.min(attemptMs * 2, maxAttemptMs);
    gapMs = Math.min(gapMs * 2, maxGapMs);
  }
}

/** Null, and the socket closed, where the guest did not answer in time. */
async function tryHello(socket: Socket, timeoutMs: number, signal: AbortSignal): Promise<Socket | null> {
  if (socket.destroyed) return null; // the other end has gone already
  const nonce = randomBytes(16).toString("hex");
  const expected = Buffer.from(`WORKFORT/1 READY ${nonce}\n`);
  const { promise, resolve, reject } = Promise.withResolvers<Socket | null>();
  const timer = setTimeout(() => resolve(null), timeoutMs);
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  let tail: Buffer = Buffer.alloc(0);
  let discarded = 0;
  const onData = (chunk: Buffer): void => {
    const seen = tail.length === 0 ? chunk : Buffer.concat([tail, chunk]);
    const at = seen.indexOf(expected);
    if (at >= 0) {
      socket.pause();
      socket.off("data", onData);
      const rest = seen.subarray(at + expected.length);
      if (rest.length > 0) socket.unshift(rest);
      resolve(socket);
      return;
    }
    discarded += chunk.length;
    if (discarded > maxDiscardedBytes) resolve(null);
    tail = Buffer.from(seen.subarray(Math.max(0, seen.length - expected.length + 1)));
  };
  socket.on("data", onData);
  socket.write(`WORKFORT/1 HELLO ${nonce}\n`);
  socket.once("error", reject);
  socket.once("close", () => resolve(null));
  try {
    const open = await promise;
    if (open === null) socket.destroy();
    return open;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    socket.removeAllListeners();
    socket.on("error", () => {}); // whoever uses the channel sees it close
  }
}
