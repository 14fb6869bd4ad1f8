import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * What opens a preview in a browser: a ticket, good once and for a minute, is exchanged for a cookie, good for half a
 * day. Both are signed with a key of this daemon's, so that nothing has to be kept; they end with the daemon's token.
 */
const ticketMs = 60_000;
const cookieMs = 12 * 60 * 60 * 1000;
/** used tickets that are remembered; older ones have expired long before */
const mostUsed = 10_000;

export const cookieName = "workfort_preview";
export const ticketParameter = "workfort_ticket";

export class PreviewTickets {
  readonly #key: Buffer;
  readonly #now: () => number;
  readonly #used = new Map<string, number>();

  /** `secret` is the daemon's token: who has it may open every preview */
  constructor(secret: string, now: () => number = Date.now) {
    this.#key = createHmac("sha256", secret).update("workfort previews").digest();
    this.#now = now;
  }

  /** for the port of a VM, by its id */
  ticket(vmId: string, port: number): string {
    return this.#sign("ticket", vmId, port, this.#now() + ticketMs);
  }

  /** The cookie that a ticket is exchanged for; null where it opens nothing, or has before. */
  redeem(ticket: string, vmId: string, port: number): string | null {
    if (!this.#isGood("ticket", ticket, vmId, port) || this.#used.has(ticket)) return null;
    for (const [old, until] of this.#used) {
      if (until >= this.#now() && this.#used.size < mostUsed) break;
      this.#used.delete(old);
    }
    this.#used.set(ticket, this.#now() + ticketMs);
    return this.#sign("cookie", vmId, port, this.#now() + cookieMs);
  }

  /** Whether a cookie opens the port of a VM. */
  opens(cookie: string, vmId: string, port: number): boolean {
    return this.#isGood("cookie", cookie, vmId, port);
  }

  #sign(kind: "ticket" | "cookie", vmId: string, port: number, untilMs: number): string {
    const nonce = randomBytes(9).toString("base64url");
    return `${untilMs.toString(36)}.${nonce}.${this.#signature(kind, vmId, port, untilMs.toString(36), nonce)}`;
  }

  #isGood(kind: "ticket" | "cookie", text: string, vmId: string, port: number): boolean {
    const [until = "", nonce = "", signature = ""] = text.split(".");
    const expected = Buffer.from(this.#signature(kind, vmId, port, until, nonce));
    const given = Buffer.from(signature);
    return (
      given.length === expected.length && timingSafeEqual(given, expected) && Number.parseInt(until, 36) > this.#now()
    );
  }

  #signature(kind: string, vmId: string, port: number, until: string, nonce: string): string {
    return createHmac("sha256", this.#key).update([kind, vmId, port, until, nonce].join("\n")).digest("base64url");
  }
}
