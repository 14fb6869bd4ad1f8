import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { WorkfortError, type Token } from "@workfort/contract";

/** who asks: the owner of the daemon, or whoever has a token with a scope */
export type Caller = { kind: "owner" } | { kind: "token"; token: Token };

/**
 * Who may speak to the TCP port: whoever has a token, and no web page. A browser sends the name the page was
 * loaded from in `Host` (so a rebound name is seen) and the page's own in `Origin`.
 * The Unix socket needs none of this: its mode is 0600.
 */
export class Guard {
  readonly #ownersDigest: Buffer;
  readonly #names: readonly string[];
  readonly #authenticate: (secret: string) => Token | null;

  /** `host` is the address that is listened on; `authenticate` knows the tokens with a scope */
  constructor(needs: { ownersToken: string; host: string; authenticate: (secret: string) => Token | null }) {
    this.#ownersDigest = digest(needs.ownersToken);
    this.#names = ["localhost", "127.0.0.1", "[::1]", needs.host];
    this.#authenticate = needs.authenticate;
  }

  /** Throws where no page or program of this kind may speak to the daemon. */
  checkOrigin(headers: IncomingHttpHeaders, port: number): void {
    const { host, origin } = headers;
    const hosts = this.#names.map((name) => `${name}:${port}`);
    if (host === undefined || !hosts.includes(host.toLowerCase())) {
      throw new WorkfortError(
        "forbidden_origin",
        `the Host header "${String(host).slice(0, 100)}" is none of this daemon's`,
        { hint: "use 127.0.0.1 or localhost with the daemon's port" },
      );
    }
    if (origin !== undefined && !hosts.includes(origin.toLowerCase().replace(/^https?:\/\//, "")))
      throw new WorkfortError("forbidden_origin", `pages of ${origin.slice(0, 100)} may not use this daemon`);
  }

  /** Who has sent this; throws `unauthorized` where it is nobody known. */
  identify({ authorization }: IncomingHttpHeaders): Caller {
    const given = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), this.#ownersDigest)) return { kind: "owner" };
    const token = given === undefined ? null : this.#authenticate(given);
    if (token !== null) return { kind: "token", token };
    throw new WorkfortError(
      "unauthorized",
      given === undefined ? "there is no bearer token" : "the bearer token is wrong, expired or revoked",
      {
        hint: "send the content of the daemon's token file as Authorization: Bearer …, or use the Unix socket; for MCP: nexusctl token create",
      },
    );
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
