/** The bytes of Firecracker's answers; its heads have no reason phrase, and their order is always this one. */
export interface Answer {
  status: number;
  /** JSON text, null for none */
  body: string | null;
  /** a deprecated field was used */
  deprecated?: boolean;
}

export function bytesOf({ status, body, deprecated = false }: Answer): Buffer {
  const head = [
    `HTTP/1.1 ${status} `,
    "Server: Firecracker API",
    "Connection: keep-alive",
    ...(deprecated ? ["Deprecation: true"] : []),
    ...(body === null ? [] : ["Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body)}`]),
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body ?? ""}`);
}

/** What the transport refuses; the line end within the string is none that JSON allows. */
export function transportError(message: string): Answer {
  return { status: 400, body: `{ "error": "${message}\nAll previous unanswered requests will be dropped." }` };
}

/** to the eleventh connection, before it is closed */
export const tooManyConnections =
  "HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n\r\n" +
  '{ "error": "Too many open connections" }';

export const continueHead = bytesOf({ status: 100, body: null });

/** as Firecracker's log names them */
export function statusName(status: number): string {
  const names: Record<number, string> = { 200: "OK", 204: "No Content", 400: "Bad Request", 413: "Payload Too Large" };
  return `${status} ${names[status] ?? ""}`;
}
