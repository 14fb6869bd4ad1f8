import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { connectToVmm } from "../../process/unix-socket.ts";

/** the agent's port (codex/reference/guest-protocol.md) */
const agentPort = 7300;
/** Firecracker answers a connection only when the guest has, which takes a boot; the wait grows with each attempt, ms */
const firstAttemptMs = 500;
const maxAttemptMs = 4_000;
const gapMs = 20;
/** `OK ` and a port, at most ten digits */
const answerBytes = 32;

/**
 * Opens a stream to the agent through Firecracker's vsock socket: `CONNECT <port>` is answered by `OK <port>`.
 *
 * A guest that is not up lets it hang, and a port that nobody listens on closes it without a word: both are tried
 * again until the signal fires. Rejects where the socket itself cannot be reached.
 */
export async function openVsock(path: string, signal: AbortSignal): Promise<Duplex> {
  let attemptMs = firstAttemptMs;
  for (;;) {
    signal.throwIfAborted();
    const socket = await tryConnect(path, attemptMs, signal);
    if (socket !== null) return socket;
    await delay(gapMs, undefined, { signal });
    attemptMs = Math.min(attemptMs * 2, maxAttemptMs);
  }
}

/** Null where the guest has not answered in time, or has nobody at the port. */
async function tryConnect(path: string, timeoutMs: number, signal: AbortSignal): Promise<Socket | null> {
  const socket = await connectToVmm(path);
  if (socket.destroyed) return null; // the other end has gone already
  const { promise, resolve, reject } = Promise.withResolvers<Socket | null>();
  const timer = setTimeout(() => resolve(null), timeoutMs);
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  let head: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(0x0a);
    if (end < 0 && head.length < answerBytes) return;
    if (end < 0 || !/^OK \d+$/.test(head.toString("latin1", 0, end))) return resolve(null);
    socket.pause();
    socket.off("data", onData);
    if (head.length > end + 1) socket.unshift(head.subarray(end + 1)); // the agent may have spoken already
    resolve(socket);
  };
  socket.on("data", onData);
  socket.write(`CONNECT ${agentPort}\n`); // in one write, as it asks for
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
