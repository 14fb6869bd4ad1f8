import { promises as fs } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WorkfortError } from "@workfort/contract";
import type { ForwardListener, ForwardListeners, ForwardPlace } from "@workfort/core";
import { breakOff, join } from "./join.ts";

/** of one forward at a time; an agent takes 256 */
const maxConnections = 256;

/** Listens on ports and Unix sockets of the host, and joins each connection to one into a guest. */
export const hostListeners: ForwardListeners = {
  async listen(where, open): Promise<ForwardListener> {
    // a daemon that was killed has left its socket
    if ("socket" in where) await removeStale(where.socket);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.maxConnections = maxConnections;
    const sockets = new Set<Socket>();
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      void serve(socket, open);
    });
    await listen(server, where);
    const address = server.address();
    return {
      port: typeof address === "object" ? ((address as AddressInfo | null)?.port ?? null) : null,
      get openConnections() {
        return sockets.size;
      },
      async close() {
        const closed = new Promise((resolve) => server.close(resolve));
        for (const socket of sockets) breakOff(socket);
        await closed; // and with it the file of a Unix socket
      },
    };
  },
};

async function serve(socket: Socket, open: (signal: AbortSignal) => Promise<Duplex>): Promise<void> {
  const left = new AbortController();
  const leave = (): void => left.abort();
  socket.on("error", () => {}); // its close tells of it
  socket.once("close", leave);
  socket.setNoDelay(true);
  try {
    const guest = await open(left.signal);
    socket.off("close", leave);
    if (socket.destroyed) guest.destroy();
    else {
      join(socket, guest);
      socket.resume();
    }
  } catch {
    breakOff(socket); // nothing answers in the guest: the same as a port on which nobody listens
  }
}

async function listen(server: Server, where: ForwardPlace): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const name = "socket" in where ? where.socket : `${where.address}:${where.port}`;
  server.once("error", (error: NodeJS.ErrnoException) => reject(refusal(name, error)));
  const before = process.umask(0o177); // a socket is for its owner
  try {
    server.listen("socket" in where ? { path: where.socket } : { host: where.address, port: where.port }, resolve);
  } finally {
    process.umask(before);
  }
  await promise;
}

function refusal(name: string, error: NodeJS.ErrnoException): WorkfortError {
  const { code } = error;
  if (code === "EADDRINUSE")
    return new WorkfortError("in_use", `${name} is in use by another program`, {
      hint: "choose another port, or 0 for a free one",
      cause: error,
    });
  if (code === "EACCES")
    return new WorkfortError("permission_denied", `${name} may not be listened on: ${error.message}`, {
      hint: "ports below 1024 are root's; choose one above",
      cause: error,
    });
  return new WorkfortError("invalid_request", `${name} cannot be listened on: ${error.message}`, { cause: error });
}

/** Removes a socket on which nobody listens; leaves anything else. */
async function removeStale(path: string): Promise<void> {
  const found = await fs.lstat(path).catch(() => null);
  if (found === null || !found.isSocket()) return;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(path);
  probe.once("connect", () => resolve(false));
  probe.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "ECONNREFUSED"));
  const isStale = await promise;
  probe.destroy();
  if (isStale) await fs.rm(path, { force: true });
}
