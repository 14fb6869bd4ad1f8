import { parseAddress } from "@workfort/core/network/ip.ts";
import { plainName } from "@workfort/core/network/policy-entry.ts";
import {
  HttpRefusal,
  listOf,
  parseFields,
  tokenPattern,
  valuesOf,
  type BodyFraming,
  type Fields,
} from "./http-head.ts";

/** the port on which requests are checked */
const httpPort = "80";
/** RFC 9113 3.4: whoever means HTTP/2 begins with this */
const http2Preface = /^PRI \* HTTP\/2/;
const hopOfHttp2: ReadonlySet<string> = new Set(["upgrade", "http2-settings"]);

/** A request whose meaning is the same to every reader. */
export interface HttpRequest {
  method: string;
  target: string;
  /** from Host: a name in lower case, or an address without brackets */
  host: string;
  body: BodyFraming;
  keepAlive: boolean;
  /** whether it asks for another protocol on this connection */
  upgrade: boolean;
  /** as it is passed on */
  head: string;
}

/** Reads a head, without the empty line at its end; throws `HttpRefusal` where two readers could differ. */
export function parseRequest(head: string): HttpRequest {
  if (http2Preface.test(head)) throw new HttpRefusal(505, "HTTP/2 without TLS is not passed on");
  if (/[^\r]\n|\r[^\n]|\r$/.test(head)) throw new HttpRefusal(400, "a line of its head does not end in CR LF");
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "", target = "", version = "", ...more] = first.split(" ");
  if (!tokenPattern.test(method) || !/^[!-~\x80-\xff]+$/.test(target) || more.length > 0)
    throw new HttpRefusal(400, "its first line is no request");
  if (!/^HTTP\/1\.[01]$/.test(version)) throw new HttpRefusal(505, "it is not HTTP/1");
  const fields = parseFields(lines);
  const host = hostOf(fields);
  if (method === "CONNECT") throw new HttpRefusal(405, "CONNECT is not offered", host);
  checkTarget(method, target, host);
  const connection = listOf(fields, "connection");
  const upgrade = listOf(fields, "upgrade");
  const toHttp2 = upgrade.includes("h2c");
  return {
    method,
    target,
    host,
    body: bodyOf(fields, version, host),
    keepAlive: version === "HTTP/1.1" ? !connection.includes("close") : connection.includes("keep-alive"),
    upgrade: upgrade.length > 0 && !toHttp2,
    head: toHttp2 ? withoutHttp2(first, fields) : head,
  };
}

function hostOf(fields: Fields): string {
  const values = valuesOf(fields, "host");
  const [value] = values;
  if (value === undefined) throw new HttpRefusal(400, "it names no host");
  if (values.length > 1) throw new HttpRefusal(400, "it names more than one host");
  const host = authority(value);
  if (host === null) throw new HttpRefusal(400, "its Host is none that could be meant on port 80", value);
  return host;
}

/** `name`, `name:80`, `[address]:80`; null for all others. */
function authority(text: string): string | null {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:@/[\]]+))(?::(\d*))?$/.exec(text) ?? [];
  if (port !== undefined && port !== httpPort) return null;
  if (bracketed !== undefined) return parseAddress(bracketed)?.family === 6 ? bracketed : null;
  if (plain === undefined) return null;
  return parseAddress(plain)?.family === 4 ? plain : plainName(plain);
}

/** A target with a host of its own must say the same as Host. */
function checkTarget(method: string, target: string, host: string): void {
  if (target.startsWith("/") || (target === "*" && method === "OPTIONS")) return;
  const [, own] = /^http:\/\/([^/?#]+)(?:[/?].*)?$/i.exec(target) ?? [];
  if (own === undefined) throw new HttpRefusal(400, "its target is neither a path nor a URL of http", host);
  if (authority(own) !== host) throw new HttpRefusal(400, "its target and its Host name different hosts", host);
}

function bodyOf(fields: Fields, version: string, host: string): BodyFraming {
  const lengths = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  if (codings.length > 0) {
    if (lengths.length > 0) throw new HttpRefusal(400, "it has both Transfer-Encoding and Content-Length", host);
    if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked" || version !== "HTTP/1.1")
      throw new HttpRefusal(501, "its Transfer-Encoding is not chunked alone", host);
    return { kind: "chunked" };
  }
  const [length] = lengths;
  if (length === undefined) return { kind: "none" };
  if (lengths.length > 1 || !/^\d{1,15}$/.test(length))
    throw new HttpRefusal(400, "its Content-Length is no number", host);
  return Number(length) === 0 ? { kind: "none" } : { kind: "length", bytes: Number(length) };
}

/** An offer to go on in HTTP/2 stays here, as RFC 9110 7.8 lets whoever passes a message on do. */
function withoutHttp2(first: string, fields: Fields): string {
  const kept = fields.flatMap(([name, value]) => {
    if (hopOfHttp2.has(name)) return [];
    if (name !== "connection") return [`${name}: ${value}`];
    const words = value.split(",").filter((word) => !hopOfHttp2.has(word.trim().toLowerCase()));
    return words.join("").trim() === "" ? [] : [`${name}: ${words.join(",")}`];
  });
  return [first, ...kept].join("\r\n");
}
