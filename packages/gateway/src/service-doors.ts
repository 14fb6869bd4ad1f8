import { connect } from "node:net";
import type { GatewayService, GatewaySettings } from "@workfort/host/network/gateway-protocol.ts";
import { Doorway, type Doorkeeper } from "./check/doorway.ts";
import { splice } from "./check/splice.ts";
import type { Guest } from "./guest.ts";

/** The ports of host services: whoever's policy names a service is joined to the daemon's socket for it. */
export class ServiceDoors {
  readonly #guestAt: (address: string) => Guest | null;
  readonly #open = new Map<string, Doorway>();

  constructor(guestAt: (address: string) => Guest | null) {
    this.#guestAt = guestAt;
  }

  /** Opens what is new and closes what is no more; connections of the latter go on until their end. */
  async offer({ services, ipv4, ipv6 }: GatewaySettings): Promise<void> {
    const addresses = [ipv4.gateway, ipv6.gateway];
    const wanted = new Map(services.map((service) => [JSON.stringify([service, addresses]), service]));
    for (const [key, door] of this.#open)
      if (!wanted.has(key)) {
        door.close();
        this.#open.delete(key);
      }
    for (const [key, service] of wanted) {
      if (this.#open.has(key)) continue;
      const door = new Doorway(this.#guestAt, doorOf(service));
      await door.listen(addresses);
      this.#open.set(key, door);
    }
  }

  close(): void {
    for (const door of this.#open.values()) door.close();
    this.#open.clear();
  }
}

function doorOf({ name, port, socket }: GatewayService): Doorkeeper {
  return {
    port,
    judge: (policy) => policy.services.has(name),
    serve: async (visit) => {
      const upstream = connect({ path: socket, allowHalfOpen: true });
      visit.upstream = upstream;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      upstream.once("connect", resolve);
      upstream.on("error", reject); // where the daemon is away the guest is told by the end of its connection
      upstream.once("close", () => reject(new Error("the connection is closed")));
      await promise;
      await splice(visit.socket, upstream);
    },
  };
}
