import { request as startRequest, STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { WorkfortError, type Preview } from "@workfort/contract";
import type { Forwards, VmRecord, Vms } from "@workfort/core";
import { join } from "@workfort/host/ingress/join.ts";
import { toWorkfortError } from "./errors.ts";
import type { Guard } from "./guard.ts";
import { cookieName, PreviewTickets, ticketParameter } from "./preview-tickets.ts";

/**
 * Ports of VMs for a browser: `http://<port>-<vm>.localhost:<the API's port>/`, plain requests and WebSockets alike.
 *
 * Each port of each VM is a site of its own to the browser, so pages of guests reach neither one another nor the API.
 * It opens for the owner's token, or for the cookie that a ticket is exchanged for; the guest is given neither.
 */
const hostPattern = /^([1-9]\d{0,4})-([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.localhost(?::(\d{1,5}))?$/i;
/** headers of one hop (RFC 9110, 7.6.1) */
const ofOneHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

interface Place {
  port: number;
  vm: string;
}

export class PreviewDoor {
  readonly #vms: Vms;
  readonly #forwards: Forwards;
  readonly #tickets: PreviewTickets;
  readonly #guard: () => Guard | null;
  readonly #live = new Set<Duplex>();

  constructor(needs: { vms: Vms; forwards: Forwards; ownersToken: string; guard: () => Guard | null }) {
    this.#vms = needs.vms;
    this.#forwards = needs.forwards;
    this.#tickets = new PreviewTickets(needs.ownersToken);
    this.#guard = needs.guard;
  }

  /** Whether a request on TCP is for a port of a VM. */
  wants(request: IncomingMessage): boolean {
    return request.socket.localPort !== undefined && placeOf(request) !== null;
  }

  /** The addresses of a VM's port; `tcp` is where the API is served. */
  addresses(vm: VmRecord, port: number, tcp: string): Preview {
    const url = `http://${port}-${vm.name}.localhost:${tcp.slice(tcp.lastIndexOf(":") + 1)}/`;
    return { url, urlWithTicket: `${url}?${ticketParameter}=${this.#tickets.ticket(vm.id, port)}` };
  }

  /** Answers a request. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const opened = this.#open(request);
      if ("redirect" in opened) {
        response.writeHead(303, {
          location: opened.redirect,
          "set-cookie": opened.cookie,
          "cache-control": "no-store",
        });
        response.end();
        return;
      }
      await this.#pass(opened, request, response);
    } catch (error) {
      const { status, message, hint } = toWorkfortError(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(inWords(message, hint));
    }
  }

  /** Takes a request that wants another protocol, such as WebSocket. */
  async takeUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    try {
      const { origin, host } = request.headers;
      if (origin !== undefined && origin.replace(/^https?:\/\//, "").toLowerCase() !== host?.toLowerCase())
        throw new WorkfortError("forbidden_origin", `pages of ${origin.slice(0, 100)} may not use this preview`);
      const opened = this.#open(request);
      if ("redirect" in opened) throw new WorkfortError("unauthorized", "a ticket is for a page, not for a WebSocket");
      const guest = await this.#connect(opened, socket);
      guest.write(headOf(request));
      if (head.length > 0) guest.write(head);
      this.#live.add(socket);
      socket.once("close", () => this.#live.delete(socket));
      join(socket, guest);
    } catch (error) {
      const { status, message, hint } = toWorkfortError(error);
      const body = inWords(message, hint);
      socket.end(
        `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
          `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
        () => socket.destroy(),
      );
    }
  }

  close(): void {
    for (const socket of this.#live) socket.destroy();
  }

  /** Who asks may see the port, or is sent on with a cookie; throws for everybody else. */
  #open(request: IncomingMessage): { vm: VmRecord; port: number } | { redirect: string; cookie: string } {
    const place = placeOf(request);
    if (place === null) throw new Error("no preview is asked for");
    const vm = this.#find(place.vm);
    const url = new URL(request.url ?? "/", "http://preview");
    const ticket = url.searchParams.get(ticketParameter);
    if (ticket !== null && vm !== null) {
      const cookie = this.#tickets.redeem(ticket, vm.id, place.port);
      url.searchParams.delete(ticketParameter);
      if (cookie !== null)
        return {
          redirect: `${url.pathname}${url.search}`,
          cookie: `${cookieName}=${cookie}; Path=/; HttpOnly; SameSite=Lax`,
        };
    }
    const cookie = cookiesOf(request).find(([name]) => name === cookieName)?.[1];
    const isOpen =
      (vm !== null && cookie !== undefined && this.#tickets.opens(cookie, vm.id, place.port)) || this.#isOwner(request);
    if (!isOpen)
      throw new WorkfortError("unauthorized", "this preview is private", {
        hint: `nexusctl vm preview ${place.vm} ${place.port}`,
      });
    if (vm === null) throw new WorkfortError("not_found", `there is no VM "${place.vm}"`, { hint: "nexusctl vm list" });
    return { vm, port: place.port };
  }

  #find(name: string): VmRecord | null {
    try {
      return this.#vms.find(name);
    } catch {
      return null;
    }
  }

  #isOwner(request: IncomingMessage): boolean {
    try {
      return this.#guard()?.identify(request.headers).kind === "owner";
    } catch {
      return false;
    }
  }

  async #connect({ vm, port }: { vm: VmRecord; port: number }, caller: Duplex): Promise<Duplex> {
    const left = new AbortController();
    const leave = (): void => left.abort();
    caller.once("close", leave);
    try {
      return await this.#forwards.connect(vm.id, { port, socket: null }, left.signal);
    } finally {
      caller.off("close", leave);
    }
  }

  async #pass(
    place: { vm: VmRecord; port: number },
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const guest = await this.#connect(place, request.socket);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onward = startRequest({
      createConnection: () => guest,
      method: request.method,
      path: pathWithoutTicket(request),
      headers: headersFor(request),
      setHost: false,
    });
    response.once("close", () => {
      onward.destroy();
      guest.destroy();
      resolve();
    });
    onward.once("error", (cause) => reject(brokenOff(place, cause.message, cause)));
    onward.once("response", (answer) => {
      try {
        response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer.rawHeaders));
      } catch (cause) {
        reject(brokenOff(place, "its answer's head cannot be passed on", cause)); // it is of the guest's making
        return;
      }
      answer.once("error", () => response.destroy());
      answer.pipe(response);
    });
    request.pipe(onward);
    await promise;
  }
}

function brokenOff({ vm, port }: { vm: VmRecord; port: number }, why: string, cause: unknown): WorkfortError {
  return new WorkfortError("connection_refused", `port ${port} of VM "${vm.name}" broke off: ${why}`, { cause });
}

function placeOf(request: IncomingMessage): Place | null {
  const found = hostPattern.exec(request.headers.host ?? "");
  if (found === null || (found[3] !== undefined && Number(found[3]) !== request.socket.localPort)) return null;
  const port = Number(found[1]);
  return port > 65_535 ? null : { port, vm: (found[2] ?? "").toLowerCase() };
}

function cookiesOf(request: IncomingMessage): [name: string, value: string][] {
  return (request.headers.cookie ?? "").split(/; */).flatMap((pair) => {
    const at = pair.indexOf("=");
    return at < 0 ? [] : [[pair.slice(0, at).trim(), pair.slice(at + 1)]];
  });
}

function pathWithoutTicket(request: IncomingMessage): string {
  const text = request.url ?? "/";
  if (!text.includes(ticketParameter)) return text;
  const url = new URL(text, "http://preview");
  url.searchParams.delete(ticketParameter);
  return `${url.pathname}${url.search}`;
}

/** What the guest is told: all that the caller says, but neither what opens the preview nor what is of one hop. */
function headersFor(request: IncomingMessage, upgrade = false): string[] {
  const named = new Set((request.headers.connection ?? "").toLowerCase().split(/ *, */));
  const pairs = pairsOf(request.rawHeaders).flatMap(([name, value]): [string, string][] => {
    const lower = name.toLowerCase();
    if (lower === "authorization" && /^Bearer [0-9a-f]{64}$/i.test(value)) return [];
    if (lower === "cookie") {
      const kept = value.split(/; */).filter((pair) => !pair.startsWith(`${cookieName}=`));
      return kept.length === 0 ? [] : [[name, kept.join("; ")]];
    }
    if (upgrade && (lower === "upgrade" || lower === "connection")) return [[name, value]];
    return (ofOneHop.has(lower) && lower !== "transfer-encoding") || named.has(lower) ? [] : [[name, value]];
  });
  return [...pairs, ["X-Forwarded-Proto", "http"], ...(upgrade ? [] : [["Connection", "close"]])].flat() as string[];
}

function headOf(request: IncomingMessage): string {
  const lines = pairsOf(headersFor(request, true)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${request.method} ${pathWithoutTicket(request)} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

function endToEnd(rawHeaders: readonly string[]): string[] {
  return pairsOf(rawHeaders)
    .filter(([name]) => !ofOneHop.has(name.toLowerCase()))
    .flat();
}

function pairsOf(raw: readonly string[]): [name: string, value: string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[index * 2] ?? "", raw[index * 2 + 1] ?? ""]);
}

function inWords(message: string, hint: string | undefined): string {
  return hint === undefined ? `${message}\n` : `${message}\n${hint}\n`;
}
