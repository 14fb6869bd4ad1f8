import type { IncomingMessage } from "node:http";
import type { Terminal, TerminalMessage } from "@workfort/contract";
import type { WebSocket } from "ws";
import { fromProblem, parseJson, toError } from "./answer.ts";
import { AnswerError, DaemonUnreachable } from "./errors.ts";

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** what a viewer is told, in order; the next is told when the promise has settled */
export interface TerminalListener {
  /** reset to this size; what is shown next draws the screen as it is */
  onScreen: (size: TerminalSize) => void | Promise<void>;
  onOutput: (bytes: Uint8Array) => void | Promise<void>;
  onSize: (size: TerminalSize) => void | Promise<void>;
  /** another viewer took the terminal over; this one looks on from here on */
  onTaken?: (() => void | Promise<void>) | undefined;
  /** something asked for was refused; the view goes on */
  onRefused?: ((error: Error) => void) | undefined;
}

/** One WebSocket to one terminal, from its opening to its end. */
export class TerminalConnection {
  readonly #socket: WebSocket;
  readonly #address: string;
  readonly #listener: TerminalListener;
  readonly #end = Promise.withResolvers<Terminal>();
  #queue: Promise<void> = Promise.resolve();
  #queued = 0;

  constructor(socket: WebSocket, address: string, listener: TerminalListener) {
    this.#socket = socket;
    this.#address = address;
    this.#listener = listener;
    this.#end.promise.catch(() => {});
    socket.on("message", (data, isBinary) => this.#take(data as Buffer, isBinary));
    socket.on("error", (error) => this.#end.reject(DaemonUnreachable.from(address, error)));
    socket.once("unexpected-response", (_request, answer) => void this.#refused(answer));
    socket.once("close", () => void this.#queue.then(() => this.#end.reject(new DaemonUnreachable(address, "lost"))));
  }

  /** Resolves with the terminal when that has ended; rejects when the connection fails or is refused. */
  get ended(): Promise<Terminal> {
    return this.#end.promise;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Resolves when the bytes are on their way; false where there is no connection to take them. */
  async type(bytes: Uint8Array): Promise<boolean> {
    if (!this.isOpen) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#socket.send(bytes, { binary: true }, (error) => resolve(error == null));
    return await promise;
  }

  resize(size: TerminalSize): void {
    if (this.isOpen) this.#socket.send(JSON.stringify({ type: "resize", ...size }));
  }

  close(): void {
    this.#socket.terminate();
  }

  #take(data: Buffer, isBinary: boolean): void {
    this.#queued += 1;
    this.#socket.pause();
    this.#queue = this.#queue
      .then(async () => (isBinary ? await this.#listener.onOutput(data) : await this.#hear(data)))
      .catch((error: unknown) => {
        this.#end.reject(error);
        this.#socket.terminate();
      })
      .finally(() => {
        this.#queued -= 1;
        if (this.#queued === 0) this.#socket.resume();
      });
  }

  async #hear(data: Buffer): Promise<void> {
    const message = Object(parseJson(data.toString("utf8"))) as Partial<TerminalMessage>;
    if (message.type === "screen") await this.#listener.onScreen(sizeOf(message));
    else if (message.type === "size") await this.#listener.onSize(sizeOf(message));
    else if (message.type === "taken") await this.#listener.onTaken?.();
    else if (message.type === "ended") this.#end.resolve(message.terminal as Terminal);
    else if (message.type === "error" && message.problem !== undefined) {
      const error = fromProblem(message.problem);
      if (message.fatal === false) this.#listener.onRefused?.(error);
      else throw error;
    }
  }

  async #refused(answer: IncomingMessage): Promise<void> {
    this.#end.reject(await toError(answer, this.#address));
    this.#socket.terminate();
  }
}

function sizeOf({ columns, rows }: Partial<TerminalSize>): TerminalSize {
  if (typeof columns !== "number" || typeof rows !== "number")
    throw new AnswerError("a message of the daemon about a terminal's size has none");
  return { columns, rows };
}
