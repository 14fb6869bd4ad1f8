import { promises as fs } from "node:fs";
import { connect, type Socket } from "node:net";
import { join as joinPath } from "node:path";
import type { HostService } from "@workfort/contract";
import type { ForwardListener, HostServiceRelay } from "@workfort/core";
import { once } from "node:events";
import { makePrivateDirectory } from "../files.ts";
import { hostListeners } from "./listeners.ts";

/** for a service of the host to take a connection, ms */
const connectMs = 10_000;

/**
 * The daemon's half of host services: a Unix socket for each, to which the gateway brings what guests begin, and from
 * which it goes on to the service itself.
 */
export class ServiceRelay implements HostServiceRelay {
  readonly #directory: string;
  /** by the names of their sockets */
  readonly #open = new Map<string, { target: string; listener: ForwardListener }>();

  /** `directory` holds the sockets, each named by its service's port: a service's name may be too long for a path */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async set(services: readonly HostService[]): Promise<void> {
    await makePrivateDirectory(this.#directory);
    const wanted = new Map(services.map(({ port, target }) => [String(port), target]));
    for (const [name, { target, listener }] of this.#open) {
      if (wanted.get(name) === target) continue;
      this.#open.delete(name);
      await listener.close();
    }
    for (const [name, target] of wanted) {
      if (this.#open.has(name)) continue;
      const socket = joinPath(this.#directory, name);
      const listener = await hostListeners.listen({ socket }, (signal) => connectTo(target, signal));
      this.#open.set(name, { target, listener });
    }
    // of a daemon that died between a deletion and this
    for (const name of await fs.readdir(this.#directory))
      if (!wanted.has(name)) await fs.rm(joinPath(this.#directory, name), { force: true });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ listener }) => listener.close()));
    this.#open.clear();
  }
}

/** `address:port`, or `unix:` and a path */
async function connectTo(target: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ ...placeOf(target), allowHalfOpen: true });
  try {
    await once(socket, "connect", { signal: AbortSignal.any([signal, AbortSignal.timeout(connectMs)]) });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.on("error", () => {}); // its close tells of it
  return socket;
}

function placeOf(target: string): { path: string } | { host: string; port: number } {
  if (target.startsWith("unix:")) return { path: target.slice("unix:".length) };
  const at = target.lastIndexOf(":");
  return { host: target.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(target.slice(at + 1)) };
}
