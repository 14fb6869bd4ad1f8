import { promises as fs, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Duplex } from "node:stream";
import { join, normalize } from "node:path";
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { answerTo } from "./dns-server.ts";
import type { DnsZone } from "./dns-zone.ts";
import { plainAddress, type Records } from "./records.ts";
import { serveGit } from "./git-site.ts";
import { acceptWebSocket } from "./web-socket.ts";

/**
 * Web servers as tests need them. Every path that is no file of a site is answered with what was asked, as JSON, but:
 * `/lines` goes on with a line each 50 ms, `/bytes/N` is N bytes, `/dns-query` answers names (RFC 8484), and an upgrade to WebSocket gives an echo.
 */
export function makeWebServer(records: Records, zone: DnsZone, sites: Record<string, string>): Server {
  return withUpgrade(createServer(listener(records, zone, sites, false)), records);
}

/** The same behind TLS, with a certificate for each name in `directory`. */
export function makeSecureWebServer(
  records: Records,
  zone: DnsZone,
  sites: Record<string, string>,
  directory: string,
): Server {
  const contexts = new Map<string, SecureContext>();
  const contextOf = (name: string): SecureContext => {
    const known = contexts.get(name);
    if (known !== undefined) return known;
    const [key, cert] = ["key", "pem"].map((ending) => readFileSync(join(directory, `${name}.${ending}`)));
    const made = createSecureContext({ key, cert });
    contexts.set(name, made);
    return made;
  };
  const server = createSecureServer(
    {
      SNICallback: (name, give) => {
        try {
          give(null, contextOf(name));
        } catch {
          give(null, contextOf("default.test"));
        }
      },
      key: readFileSync(join(directory, "default.test.key")),
      cert: readFileSync(join(directory, "default.test.pem")),
    },
    listener(records, zone, sites, true),
  );
  server.on("secureConnection", (socket: TLSSocket) => {
    const name = typeof socket.servername === "string" ? socket.servername : "";
    records.add({ kind: "tls", name, text: "" }, socket);
  });
  server.on("tlsClientError", () => {});
  return withUpgrade(server, records);
}

function withUpgrade(server: Server, records: Records): Server {
  server.on("connection", (socket) => records.connected(socket));
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    records.add({ kind: "request", name: request.headers.host ?? "", text: `UPGRADE ${request.url}` }, request.socket);
    acceptWebSocket(request, socket);
  });
  return server;
}

function listener(records: Records, zone: DnsZone, sites: Record<string, string>, secure: boolean): RequestListener {
  return (request, response) => {
    const host = request.headers.host ?? "";
    const path = request.url ?? "/";
    records.add({ kind: "request", name: host, text: `${request.method} ${path}` }, request.socket);
    response.on("error", () => {});
    const site = sites[host.split(":")[0] ?? ""];
    if (site !== undefined) void serveSite(site, request, response);
    else if (path.startsWith("/dns-query")) void answerNameRequest(zone, request, response);
    else if (path === "/lines") goOn(response);
    else if (path.startsWith("/bytes/")) response.end(Buffer.alloc(Number(path.slice("/bytes/".length))));
    else {
      request.resume();
      const { localAddress } = request.socket;
      response.setHeader("content-type", "application/json");
      response.end(`${JSON.stringify({ host, path, secure, address: plainAddress(localAddress) })}\n`);
    }
  };
}

function goOn(response: ServerResponse): void {
  let lines = 0;
  response.flushHeaders();
  const timer = setInterval(() => response.write(`line ${(lines += 1)}\n`), 50);
  response.on("close", () => clearInterval(timer));
}

async function answerNameRequest(zone: DnsZone, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asked = new URL(request.url ?? "/", "http://resolver").searchParams.get("dns");
  const message = asked === null ? Buffer.concat(await Array.fromAsync(request)) : Buffer.from(asked, "base64url");
  const { remoteAddress, localAddress } = request.socket;
  const way = { transport: "https", from: plainAddress(remoteAddress), at: plainAddress(localAddress) } as const;
  response.setHeader("content-type", "application/dns-message");
  response.end(await answerTo(zone, message, way));
}

async function serveSite(site: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://site").pathname));
  if (path.includes(".git/")) return serveGit(site, request, response);
  const bytes = await fs.readFile(join(site, path)).catch(() => null);
  request.resume();
  if (bytes === null) response.statusCode = 404;
  response.end(bytes ?? "there is no such file\n");
}
