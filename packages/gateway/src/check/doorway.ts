import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { Guest } from "../guest.ts";
import { Visit } from "./visit.ts";

/** connections of all guests at one door */
const maxConnections = 16_384;
/** between signs of life of an idle connection, ms */
const keepAliveMs = 60_000;

/** how a door treats who comes */
export interface Doorkeeper {
  port: number;
  /** whether a connection may stay, under this policy */
  judge: (policy: CompiledPolicy, visit: Visit) => boolean;
  serve: (visit: Visit) => Promise<void>;
}

/** A TCP port of the gateway's addresses, open to known guests. What goes wrong with one connection ends that one. */
export class Doorway {
  readonly #guestAt: (address: string) => Guest | null;
  readonly #keeper: Doorkeeper;
  readonly #servers: Server[] = [];

  constructor(guestAt: (address: string) => Guest | null, keeper: Doorkeeper) {
    this.#guestAt = guestAt;
    this.#keeper = keeper;
  }

  async listen(addresses: readonly string[]): Promise<void> {
    for (const host of addresses) {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => void this.#meet(socket));
      server.maxConnections = maxConnections;
      server.listen({ host, port: this.#keeper.port, backlog: 1024 });
      await once(server, "listening");
      this.#servers.push(server);
    }
  }

  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }

  async #meet(socket: Socket): Promise<void> {
    socket.on("error", () => {});
    const guest = this.#guestAt(socket.remoteAddress ?? "");
    const visit = guest === null ? null : new Visit(socket, guest, this.#keeper.judge);
    if (guest === null || visit === null || !visit.allowed(guest.policy) || !guest.admit(visit)) {
      socket.resetAndDestroy();
      return;
    }
    socket.setKeepAlive(true, keepAliveMs);
    try {
      await this.#keeper.serve(visit);
    } catch {
      // one of its ends has gone
    } finally {
      visit.end();
      guest.release(visit);
    }
  }
}
