import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { KeeperError } from "./keeper-answer.ts";

export interface ConnectionOptions {
  /** for the whole answer, ms; null for as long as it takes */
  boundMs: number | null;
  signal?: AbortSignal | undefined;
  /** goes out right after the request's line */
  body?: Uint8Array;
}

export interface KeeperConnection {
  socket: Socket;
  /** What an error of this connection really was: the caller's abort, the bound, or itself. */
  explain(error: unknown): unknown;
  close(): void;
}

/** Connects and sends a request; from then on the connection is bounded by time and by the signal. */
export async function openConnection(
  path: string,
  request: string,
  options: ConnectionOptions,
): Promise<KeeperConnection> {
  const { boundMs, signal, body } = options;
  signal?.throwIfAborted();
  const socket = await connectTo(path);
  let isLate = false;
  const giveUp = (): void => void socket.destroy(new Error("given up"));
  const expire = (): void => {
    isLate = true;
    giveUp();
  };
  const timer = boundMs === null ? null : setTimeout(expire, boundMs);
  signal?.addEventListener("abort", giveUp, { once: true });
  if (signal?.aborted) giveUp(); // while it was connecting
  socket.write(`${request}\n`);
  if (body !== undefined) socket.write(body);
  return {
    socket,
    explain(error) {
      if (signal?.aborted) return signal.reason;
      if (isLate)
        return new KeeperError("protocol", `the keeper at ${path} has not answered "${request}" within ${boundMs} ms`);
      return error;
    },
    close() {
      if (timer !== null) clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      socket.destroy();
    },
  };
}

async function connectTo(path: string): Promise<Socket> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (cause) {
    socket.destroy();
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    if (code === "ENOENT" || code === "ECONNREFUSED") {
      throw new KeeperError("unreachable", `no keeper listens at ${path} (${code})`, { cause });
    }
    throw new KeeperError("protocol", `the keeper at ${path} cannot be reached: ${(cause as Error).message}`, {
      cause,
    });
  }
  socket.on("error", () => {}); // whoever reads is told
  return socket;
}
