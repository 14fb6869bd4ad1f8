import type { BodyFraming, Fields } from "./http-head.ts";
import { HttpRefusal, listOf, parseFields, valuesOf } from "./http-head.ts";
import type { HttpRequest } from "./http-request.ts";

/** What of an answer decides what comes next on its connection. */
export interface HttpAnswer {
  status: number;
  body: BodyFraming;
  keepAlive: boolean;
}

/** Reads a head. Whatever is unclear is passed on until the server closes, and nothing else is asked on that connection. */
export function parseAnswer(head: string, request: HttpRequest): HttpAnswer {
  const unclear: HttpAnswer = { status: 0, body: { kind: "close" }, keepAlive: false };
  const [first = "", ...lines] = head.split(/\r?\n/);
  const [, minor, digits] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first) ?? [];
  if (digits === undefined) return unclear;
  let fields: Fields;
  try {
    fields = parseFields(lines);
  } catch (error) {
    if (error instanceof HttpRefusal) return unclear;
    throw error;
  }
  const status = Number(digits);
  const body = bodyOf(status, fields, request);
  if (body === null) return { ...unclear, status };
  const connection = listOf(fields, "connection");
  const wanted = minor === "1" ? !connection.includes("close") : connection.includes("keep-alive");
  return { status, body, keepAlive: wanted && body.kind !== "close" };
}

/** Null where it could be read in two ways. */
function bodyOf(status: number, fields: Fields, request: HttpRequest): BodyFraming | null {
  if (status < 200 || status === 204 || status === 304 || request.method === "HEAD") return { kind: "none" };
  const lengths = valuesOf(fields, "content-length");
  const codings = listOf(fields, "transfer-encoding");
  if (codings.length > 0) {
    if (lengths.length > 0) return null;
    return codings.at(-1) === "chunked" ? { kind: "chunked" } : { kind: "close" };
  }
  const [length] = lengths;
  if (length === undefined) return { kind: "close" };
  return new Set(lengths).size === 1 && /^\d{1,15}$/.test(length) ? { kind: "length", bytes: Number(length) } : null;
}
