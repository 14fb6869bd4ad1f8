import type { Socket } from "node:net";
import type { Seen } from "./calls.ts";

/** most that is kept; a test forgets between its parts */
const most = 100_000;

/** What reached the servers of a namespace. */
export class Records {
  readonly seen: Seen[] = [];
  readonly #open = new Set<Socket>();

  add(what: Pick<Seen, "kind" | "name" | "text">, socket: Socket): void {
    this.push({
      ...what,
      address: plainAddress(socket.localAddress),
      port: socket.localPort ?? 0,
      from: plainAddress(socket.remoteAddress),
    });
  }

  push(seen: Seen): void {
    if (this.seen.length < most) this.seen.push(seen);
  }

  /** A connection has come. */
  connected(socket: Socket): void {
    this.add({ kind: "tcp", name: "", text: "" }, socket);
    this.#open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#open.delete(socket));
  }

  get open(): { address: string; port: number }[] {
    return [...this.#open].map(({ localAddress, localPort }) => ({
      address: plainAddress(localAddress),
      port: localPort ?? 0,
    }));
  }
}

/** IPv4 as such where it came to a socket of both kinds. */
export function plainAddress(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:(?=\d+\.)/, "");
}
