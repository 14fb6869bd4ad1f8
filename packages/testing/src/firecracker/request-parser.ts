/**
 * Requests out of bytes, as Firecracker's own parser takes them: through a buffer of 1024 bytes, which is the limit of
 * a request line and of a header. On anything it does not understand it drops what the buffer held and says so; what
 * follows a request line is the beginning of a request then, but what follows a header is still a header. A chunked
 * body is not understood.
 */
export interface Request {
  method: Method;
  /** without scheme and host */
  path: string;
  body: Buffer | null;
}

export type Method = "GET" | "PUT" | "PATCH";

const bufferBytes = 1024;
const methods = new Set(["GET", "PUT", "PATCH"]);
const versions = new Set(["HTTP/1.0", "HTTP/1.1"]);

/** what the transport refuses, in its words */
export class TransportError extends Error {}

export class RequestParser {
  readonly #maxPayloadBytes: number;
  readonly #onContinue: () => void;
  #held: Buffer = Buffer.alloc(0);
  #request: { method: Method; path: string; length: number; continues: boolean } | null = null;
  /** body so far, null while lines are read */
  #body: Buffer[] | null = null;
  #missing = 0;

  constructor(maxPayloadBytes: number, onContinue: () => void) {
    this.#maxPayloadBytes = maxPayloadBytes;
    this.#onContinue = onContinue;
  }

  /** Bytes that one read may take. */
  get room(): number {
    return bufferBytes - this.#held.length;
  }

  /** The requests that these bytes complete; throws where they cannot be understood. */
  read(bytes: Buffer): Request[] {
    try {
      return this.#parse(Buffer.concat([this.#held, bytes]));
    } catch (error) {
      this.#held = Buffer.alloc(0);
      throw error;
    }
  }

  #parse(bytes: Buffer): Request[] {
    const complete: Request[] = [];
    let rest = bytes;
    for (;;) {
      if (this.#request !== null && this.#body !== null) {
        const taken = rest.subarray(0, this.#missing);
        this.#body.push(taken);
        this.#missing -= taken.length;
        rest = rest.subarray(taken.length);
        if (this.#missing > 0) break;
        complete.push(this.#finish(Buffer.concat(this.#body)));
        continue;
      }
      const end = rest.indexOf("\r\n");
      if (end < 0) {
        if (rest.length >= bufferBytes) throw tooLong(this.#request === null, rest);
        break;
      }
      const line = rest.subarray(0, end);
      rest = rest.subarray(end + 2);
      if (this.#request === null) this.#request = { ...requestLine(line), length: 0, continues: false };
      else if (line.length > 0) this.#header(line.toString("utf8"));
      else if (this.#request.length === 0) complete.push(this.#finish(null));
      else {
        if (this.#request.continues) this.#onContinue();
        this.#body = [];
        this.#missing = this.#request.length;
      }
    }
    this.#held = Buffer.from(rest);
    return complete;
  }

  #finish(body: Buffer | null): Request {
    const { method, path } = this.#request as { method: Method; path: string };
    this.#request = null;
    this.#body = null;
    return { method, path, body };
  }

  /** Of all headers only these matter. */
  #header(line: string): void {
    const request = this.#request;
    const colon = line.indexOf(":");
    if (colon < 0 || request === null)
      throw new TransportError(`Invalid header. Reason: Header is incorrectly formatted. Key: ${line}`);
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1);
    switch (name.trim().toLowerCase()) {
      case "content-length":
        request.length = contentLength(name, value, this.#maxPayloadBytes);
        return;
      case "expect":
        request.continues = value.trim() === "100-continue";
        return;
      case "accept-encoding":
        refuseEncodings(name, value);
        return;
      default:
    }
  }
}

function tooLong(isRequestLine: boolean, bytes: Buffer): TransportError {
  if (isRequestLine) return new TransportError("Invalid request.");
  return new TransportError(`Invalid header. Reason: Invalid content length. Header: ${bytes.toString("utf8")}`);
}

function requestLine(line: Buffer): { method: Method; path: string } {
  const [method = "", target, ...version] = line.toString("utf8").split(" ");
  if (target === undefined || version.length === 0) {
    if (methods.has(method) && target !== undefined && versions.has(target))
      throw new TransportError("Invalid URI: Empty URI not allowed.");
    throw new TransportError("Invalid request.");
  }
  if (!methods.has(method)) throw new TransportError("Invalid HTTP Method: Unsupported HTTP method.");
  if (target === "") throw new TransportError("Invalid URI: Empty URI not allowed.");
  if (!versions.has(version.join(" "))) throw new TransportError("Invalid HTTP Version: Unsupported HTTP version.");
  return { method: method as Method, path: pathOf(target) };
}

/** What has neither a leading slash nor a scheme has no path. */
function pathOf(target: string): string {
  const scheme = "http://";
  if (!target.startsWith(scheme)) return target.startsWith("/") ? target : "";
  const slash = target.indexOf("/", scheme.length);
  return slash < 0 ? "" : target.slice(slash);
}

function contentLength(name: string, value: string, limit: number): number {
  const length = /^\+?\d+$/.test(value.trim()) ? Number(value) : Number.NaN;
  if (!(length <= 0xffff_ffff))
    throw new TransportError(`Invalid header. Reason: Invalid value. Key:${name}; Value:${value}`);
  if (length > limit)
    throw new TransportError(
      `Request payload with size ${length} is larger than the limit of ${limit} allowed by server.`,
    );
  return length;
}

/** An answer is never encoded, so it must not be forbidden to come as it is. */
function refuseEncodings(name: string, value: string): void {
  if (value.trim() === "") throw new TransportError("Invalid request.");
  for (const part of value
    .trim()
    .split(",")
    .map((one, index) => (index === 0 ? one.trim() : one)))
    if (/^(identity|\*);q=0$/.test(part.trim()))
      throw new TransportError(`Invalid header. Reason: Invalid value. Key:${name}; Value:${part}`);
}
