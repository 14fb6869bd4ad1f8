import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { connectToVmm } from "../../process/unix-socket.ts";
import { plainWords } from "../plain-words.ts";

/** what Firecracker refused, in its own words */
export class FirecrackerError extends Error {
  override readonly name = "FirecrackerError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Firecracker's own bound for its calls is 700 ms; a busy host may take longer, ms */
const answerBoundMs = 10_000;
/** no answer that is read here is longer; a VMM with a guest in it is not trusted */
const answerBytes = 1024 * 1024;

/**
 * Firecracker's API over its Unix socket, one request after the other on one connection: it serves no two at once
 * and ten connections at most. Bodies carry their length, since it does not read chunked ones.
 */
export class FirecrackerApi {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(socketPath: string) {
    this.#agent.createConnection = (_, done) => {
      connectToVmm(socketPath).then(
        (socket) => done?.(null, socket),
        (error: Error) => done?.(error, new Socket()),
      );
      return undefined;
    };
  }

  /**
   * The answer's JSON, undefined where there is none; rejects with FirecrackerError where it refuses, else with an
   * error whose cause is the one of the connection.
   */
  async call(method: "GET" | "PUT" | "PATCH", path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
    const fail = (why: string, cause?: unknown): Error => new Error(`${method} ${path}: ${why}`, { cause });
    const { status, text } = await this.#send(method, path, body, signal).catch((error: Error) => {
      throw fail(error.message, error);
    });
    if (status >= 300) throw new FirecrackerError(status, `${method} ${path}: ${faultOf(text)}`);
    if (text === "") return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw fail(`its answer is no JSON: ${plainWords(text)}`);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<{ status: number; text: string }> {
    const json = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const request = httpRequest({
      agent: this.#agent,
      method,
      path,
      headers: json === null ? {} : { "content-type": "application/json", "content-length": json.length },
      ...(signal === undefined ? {} : { signal }),
    });
    const late = setTimeout(() => {
      reject(new Error(`no answer within ${answerBoundMs / 1000} s`));
      request.destroy();
    }, answerBoundMs);
    request.once("response", (response) => readBody(response).then(resolve, reject));
    request.on("error", reject);
    request.end(json ?? undefined);
    return await promise.finally(() => clearTimeout(late));
  }
}

async function readBody(response: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > answerBytes) throw new Error(`an answer of over ${answerBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "ECONNRESET" ? new Error("its answer broke off") : error;
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
}

/** Refusals hold `fault_message`; those of the transport `error`, with a raw line end that JSON does not allow. */
function faultOf(text: string): string {
  try {
    const { fault_message: fault } = JSON.parse(text) as { fault_message?: unknown };
    if (typeof fault === "string") return plainWords(fault);
  } catch {
    // not JSON: its words as they are
  }
  return plainWords(text);
}
