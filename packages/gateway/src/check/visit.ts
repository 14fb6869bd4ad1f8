import type { Socket } from "node:net";
import type { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { Guest, LivingConnection } from "../guest.ts";

/** A connection of a guest to the gateway, and the one that it has led to. */
export class Visit implements LivingConnection {
  readonly socket: Socket;
  readonly guest: Guest;
  readonly #judge: (policy: CompiledPolicy, visit: Visit) => boolean;
  /** what it was let through to; null before */
  target: { host: string; encryptedHello: boolean } | null = null;
  upstream: Socket | null = null;

  constructor(socket: Socket, guest: Guest, judge: (policy: CompiledPolicy, visit: Visit) => boolean) {
    this.socket = socket;
    this.guest = guest;
    this.#judge = judge;
  }

  allowed(policy: CompiledPolicy): boolean {
    return this.#judge(policy, this);
  }

  end(): void {
    this.socket.destroy();
    this.upstream?.destroy();
  }
}
