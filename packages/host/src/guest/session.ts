import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { WorkfortError } from "@workfort/contract";
import type { GuestRequest, GuestResponse } from "@workfort/core";

/** windows and frames of the guest protocol: the defaults of HTTP/2 cost two thirds of the throughput (measured) */
const streamWindowBytes = 8 * 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;
const maxFrameBytes = 1024 * 1024;
const headerListBytes = 65_536;
/** what the session may buffer of a guest's making, MB */
const sessionMemoryMB = 64;
/** what an answer's head may take, ms */
const defaultTimeoutMs = 15_000;

/** One HTTP/2 session with a guest agent over a byte stream that is already synchronised. */
export class GuestSession {
  readonly #session: ClientHttp2Session;
  readonly closed: Promise<void>;

  constructor(channel: Duplex) {
    this.#session = http2.connect("http://guest", {
      createConnection: () => channel,
      maxSessionMemory: sessionMemoryMB,
      settings: {
        enablePush: false,
        initialWindowSize: streamWindowBytes,
        maxFrameSize: maxFrameBytes,
        maxHeaderListSize: headerListBytes,
      },
    });
    this.#session.setLocalWindowSize(connectionWindowBytes);
    this.closed = new Promise((resolve) => {
      this.#session.once("close", resolve);
    });
    this.#session.on("error", () => {}); // every request and `closed` tell of it
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  async request(request: GuestRequest): Promise<GuestResponse> {
    const json = request.body === undefined ? null : Buffer.from(JSON.stringify(request.body));
    const stream = this.#session.request(
      {
        ":method": request.method,
        ":path": request.path,
        ...(json === null ? {} : { "content-type": "application/json", "content-length": json.length }),
      },
      { endStream: json === null && request.bytes === undefined },
    );
    const head = awaitHead(stream, request);
    if (json !== null) stream.end(json);
    else request.bytes?.pipe(stream);
    return { ...(await head), body: stream };
  }

  /** Resolves when the peer has answered a ping. */
  async ping(timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`no answer to a ping within ${timeoutMs} ms`)), timeoutMs);
    this.#session.ping((error) => (error === null ? resolve() : reject(error)));
    await promise.finally(() => clearTimeout(timer));
  }

  destroy(): void {
    this.#session.destroy();
  }
}

type Head = Omit<GuestResponse, "body">;

function awaitHead(stream: ClientHttp2Stream, request: GuestRequest): Promise<Head> {
  const { promise, resolve, reject } = Promise.withResolvers<Head>();
  const what = `${request.method} ${request.path.split("?")[0]}`;
  const timeoutMs = request.timeoutMs === undefined ? defaultTimeoutMs : request.timeoutMs;
  const giveUp = (error: WorkfortError): void => {
    reject(error);
    stream.destroy(error); // `close` would end the body first, and a part of it be taken for the whole
  };
  const timer =
    timeoutMs === null
      ? null
      : setTimeout(
          () =>
            giveUp(
              new WorkfortError("timeout", `the guest agent has not answered ${what} within ${timeoutMs / 1000} s`),
            ),
          timeoutMs,
        );
  const abort = (): void => giveUp(new WorkfortError("agent_unreachable", `${what} was given up`));
  if (request.signal?.aborted) abort();
  request.signal?.addEventListener("abort", abort, { once: true });
  stream.once("response", ({ ":status": status, ...headers }) =>
    resolve({ status: status ?? 0, headers: headers as Head["headers"] }),
  );
  stream.once("error", (error) =>
    reject(
      new WorkfortError("agent_unreachable", `the guest agent broke off ${what}: ${error.message}`, { cause: error }),
    ),
  );
  stream.once("close", () => {
    request.signal?.removeEventListener("abort", abort);
    reject(new WorkfortError("agent_unreachable", `the guest agent broke off ${what}`));
  });
  return promise.finally(() => timer !== null && clearTimeout(timer));
}
