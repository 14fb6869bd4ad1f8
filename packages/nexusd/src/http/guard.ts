import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { WorkfortError } from "@workfort/contract";

/**
 * Who may speak to the TCP port: whoever has the token, and no web page. A browser sends the name the page was
 * loaded from in `Host` (so a rebound name is seen) and the page's own in `Origin`.
 * The Unix socket needs none of this: its mode is 0600.
 */
export class Guard {
  readonly #tokenDigest: Buffer;
  readonly #names: readonly string[];

  /** `host` is the address that is listened on */
  constructor(token: string, host: string) {
    this.#tokenDigest = digest(token);
    this.#names = ["localhost", "127.0.0.1", "[::1]", host];
  }

  check(headers: IncomingHttpHeaders, port: number, isPublic: boolean): void {
    const { host, origin, authorization } = headers;
    const hosts = this.#names.map((name) => `${name}:${port}`);
    if (host === undefined || !hosts.includes(host.toLowerCase())) {
      throw new WorkfortError(
        "forbidden_origin",
        `the Host header "${String(host).slice(0, 100)}" is none of this daemon's`,
        { hint: "use 127.0.0.1 or localhost with the daemon's port" },
      );
    }
    if (origin !== undefined && !hosts.includes(origin.toLowerCase().replace(/^https?:\/\//, ""))) {
      throw new WorkfortError("forbidden_origin", `pages of ${origin.slice(0, 100)} may not use this daemon`);
    }
    if (isPublic) return;
    const given = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
    if (given === undefined || !timingSafeEqual(digest(given), this.#tokenDigest)) {
      throw new WorkfortError(
        "unauthorized",
        given === undefined ? "there is no bearer token" : "the bearer token is wrong",
        { hint: "send the content of the daemon's token file as Authorization: Bearer …, or use the Unix socket" },
      );
    }
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
