import { Duplex, PassThrough } from "node:stream";
import { ask } from "./guest-answer.ts";
import type { GuestLink } from "./ports.ts";

/** where a connection into a guest ends: a port of its loopback, or a Unix socket */
export type GuestPlace = { port: number; socket: null } | { port: null; socket: string };

/** for the agent to connect, ms; it gives up after 10 s itself */
const connectMs = 12_000;

/**
 * Connects to a place in a guest through its agent, whatever network it has. Each direction ends by itself; fails with
 * `connection_refused` where nothing answers.
 */
export async function connectToGuest(link: GuestLink, place: GuestPlace, signal: AbortSignal): Promise<Duplex> {
  const query = place.socket === null ? `port=${place.port}` : `socket=${encodeURIComponent(place.socket)}`;
  const outgoing = new PassThrough();
  const { body } = await ask(link, {
    method: "POST",
    path: `/v1/connections?${query}`,
    bytes: outgoing,
    timeoutMs: connectMs,
    signal,
  });
  const connection = Duplex.from({ writable: outgoing, readable: body } as unknown as NodeJS.ReadWriteStream); // its types lack this form
  connection.on("error", () => {}); // whoever reads or writes is told
  connection.once("close", () => body.destroy());
  return connection;
}

export function nameOfPlace(place: GuestPlace): string {
  return place.socket === null ? `port ${place.port}` : `socket ${place.socket}`;
}
