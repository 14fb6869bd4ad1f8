import type { Socket } from "node:net";
import { connectToVmm } from "../../process/unix-socket.ts";
import { plainWords } from "../plain-words.ts";
import { AnswerReader, type Answer } from "./answer-reader.ts";

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

interface Waiting {
  boundMs: number;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * Firecracker's API over its Unix socket. Requests are written as they are made, over one connection, and answered in
 * their order, so that many take one exchange; Node's client would wait for each answer before it sends the next.
 * Bodies carry their length, since chunked ones are not read.
 */
export class FirecrackerApi {
  readonly #path: string;
  readonly #signal: AbortSignal;
  #socket: Promise<Socket> | null = null;
  readonly #reader = new AnswerReader();
  readonly #waiting: Waiting[] = [];
  #late: NodeJS.Timeout | null = null;
  #broken: Error | null = null;
  readonly #onAbort = (): void => this.#break(this.#signal.reason as Error);

  /** The signal ends the connection, and what has not been answered fails with its reason. */
  constructor(socketPath: string, signal: AbortSignal) {
    this.#path = socketPath;
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * The answer's JSON, undefined where there is none; rejects with FirecrackerError where it refuses, else with an
   * error whose cause is the one of the connection. `boundMs` begins when the request before it has been answered.
   */
  async call(
    method: "GET" | "PUT" | "PATCH",
    path: string,
    body?: unknown,
    boundMs: number = answerBoundMs,
  ): Promise<unknown> {
    const fail = (why: string, cause?: unknown): Error => new Error(`${method} ${path}: ${why}`, { cause });
    const { status, text } = await this.#send(method, path, body, boundMs).catch((error: Error) => {
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
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#break(new Error("the connection was given up"));
  }

  async #send(method: string, path: string, body: unknown, boundMs: number): Promise<Answer> {
    this.#signal.throwIfAborted();
    const socket = await (this.#socket ??= this.#connect());
    if (this.#broken !== null) throw this.#broken;
    const json = body === undefined ? "" : JSON.stringify(body);
    const about = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\n`;
    socket.cork(); // what is asked for at once goes in one write
    process.nextTick(() => socket.uncork());
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${json === "" ? "" : about}\r\n${json}`);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#waiting.push({ boundMs, resolve, reject });
    if (this.#waiting.length === 1) this.#expectAnswer();
    return await promise;
  }

  /** A try that fails can be repeated. */
  async #connect(): Promise<Socket> {
    try {
      const socket = await connectToVmm(this.#path);
      socket.on("data", (chunk: Buffer) => this.#read(chunk));
      socket.on("error", (error) => this.#break(error));
      socket.on("close", () => this.#end());
      if (this.#broken !== null || socket.destroyed) socket.destroy();
      return socket;
    } catch (error) {
      this.#socket = null;
      throw error;
    }
  }

  #read(chunk: Buffer): void {
    this.#reader.add(chunk);
    this.#deliver(false);
  }

  #end(): void {
    this.#deliver(true);
    this.#break(new Error(this.#reader.isWithin ? "its answer broke off" : "the connection was closed"));
  }

  #deliver(hasEnded: boolean): void {
    try {
      for (let answer = this.#reader.next(hasEnded); answer !== null; answer = this.#reader.next(hasEnded)) {
        const first = this.#waiting.shift();
        if (first === undefined) throw new Error("it answers what it has not been asked");
        first.resolve(answer);
        this.#expectAnswer();
      }
    } catch (error) {
      this.#break(error as Error);
    }
  }

  #expectAnswer(): void {
    if (this.#late !== null) clearTimeout(this.#late);
    this.#late = null;
    const [first] = this.#waiting;
    if (first === undefined) return;
    const late = new Error(`no answer within ${first.boundMs / 1000} s`);
    this.#late = setTimeout(() => this.#break(late), first.boundMs);
  }

  /** The first reason counts. */
  #break(why: Error): void {
    this.#broken ??= why;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#broken);
    this.#expectAnswer();
    this.#socket?.then(
      (socket) => socket.destroy(),
      () => {},
    );
  }
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
