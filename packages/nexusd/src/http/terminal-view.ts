import { PassThrough } from "node:stream";
import { TerminalRequest, WorkfortError, type ResizeTerminal, type TerminalMessage } from "@workfort/contract";
import type { GuestTerminals, TerminalFrame } from "@workfort/core";
import type { RawData, WebSocket } from "ws";
import { invalid, toWorkfortError } from "./errors.ts";

/** sent and not yet taken by the viewer: beyond it, it is waited for */
const behindBytes = 512 * 1024;
/** a viewer that takes nothing for so long is let go of, and gets the screen anew when it takes something again, ms */
const patienceMs = 2_000;
/** a viewer that has not answered the last ping by the next one has gone, ms */
const pingEveryMs = 15_000;
/** a viewer that has been sent away gets so long to say goodbye, ms */
const farewellMs = 2_000;
const closeNormal = 1000;
const closeFailed = 1011;

/**
 * One viewer of a terminal. Nothing of a guest's is held for a viewer beyond what is under way to it: the guest's
 * stream is read as fast as the viewer takes it, or not at all.
 */
export class TerminalView {
  readonly #socket: WebSocket;
  readonly #id: string;
  readonly #size: ResizeTerminal | null;
  #readOnly: boolean;
  readonly #gone = new AbortController();
  #terminals: GuestTerminals | null = null;
  #lastSent: Promise<void> = Promise.resolve();
  #typing: PassThrough | null = null;
  #wanted: ResizeTerminal | null = null;
  #resizing = false;
  #alive = true;

  constructor(socket: WebSocket, wanted: { id: string; size: ResizeTerminal | null; readOnly: boolean }) {
    this.#socket = socket;
    this.#id = wanted.id;
    this.#size = wanted.size;
    this.#readOnly = wanted.readOnly;
  }

  /** Until the terminal has ended, the viewer has gone, or something failed; what failed is told to the viewer. */
  async run(terminals: () => GuestTerminals): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    this.#socket.on("error", () => this.#socket.terminate());
    this.#socket.once("close", () => {
      this.#gone.abort();
      resolve();
    });
    this.#socket.on("pong", () => (this.#alive = true));
    const pings = setInterval(() => this.#ping(), pingEveryMs).unref();
    try {
      this.#terminals = terminals();
      this.#socket.on("message", (data, isBinary) => this.#take(data, isBinary));
      await this.#show();
    } catch (error) {
      this.#fail(error);
    }
    await closed;
    clearInterval(pings);
    this.#typing?.destroy();
  }

  /** Whether both look at one terminal. */
  isBeside(other: TerminalView): boolean {
    return (
      this.#id === other.#id && other.#terminals !== null && this.#terminals?.areThoseOf(other.#terminals) === true
    );
  }

  /** Another viewer took the terminal over: this one only looks on. */
  giveWay(): void {
    if (this.#readOnly) return;
    this.#readOnly = true;
    this.#wanted = null;
    this.#typing?.end();
    this.#say({ type: "taken" });
  }

  close(code: number): void {
    this.#gone.abort();
    this.#socket.resume(); // or its goodbye would not be read
    this.#socket.close(code);
    setTimeout(() => this.#socket.terminate(), farewellMs).unref();
  }

  async #show(): Promise<void> {
    let size = this.#size;
    for (;;) {
      if (!(await this.#follow(size))) return;
      size = null;
      await this.#lastSent;
    }
  }

  /** Resolves true where the viewer is too far behind to go on. */
  async #follow(size: ResizeTerminal | null): Promise<boolean> {
    for await (const frame of this.#of().attach(this.#id, size, this.#gone.signal)) {
      this.#pass(frame);
      if (frame.kind === "ended") {
        this.close(closeNormal);
        return false;
      }
      if (this.#socket.bufferedAmount > behindBytes && !(await this.#caughtUp())) return true;
    }
    if (this.#gone.signal.aborted) return false;
    throw new WorkfortError("agent_unreachable", "the guest agent broke off the terminal's stream");
  }

  #pass(frame: TerminalFrame): void {
    if (frame.kind === "output") this.#send(frame.bytes);
    else if (frame.kind === "ended") this.#say({ type: "ended", terminal: frame.terminal });
    else this.#say({ type: frame.kind, columns: frame.columns, rows: frame.rows });
  }

  async #caughtUp(): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), patienceMs);
    const inTime = await Promise.race([this.#lastSent.then(() => true), late]);
    clearTimeout(timer);
    return inTime;
  }

  #take(data: RawData, isBinary: boolean): void {
    try {
      if (this.#readOnly) throw new WorkfortError("guest_conflict", "this viewer only looks on");
      if (isBinary) this.#type(data as Buffer);
      else this.#resize(toRequest(data as Buffer));
    } catch (error) {
      this.#complain(error);
    }
  }

  #type(bytes: Buffer): void {
    const typing = (this.#typing ??= this.#openTyping());
    if (typing.write(bytes)) return;
    // the viewer waits while the terminal's programs do not read
    this.#socket.pause();
    typing.once("drain", () => this.#socket.resume());
  }

  #openTyping(): PassThrough {
    const typing = new PassThrough();
    this.#of()
      .input(this.#id, typing, this.#gone.signal)
      .catch((error: unknown) => {
        typing.resume(); // what is typed after the end goes nowhere
        if (!(error instanceof WorkfortError && error.code === "guest_conflict")) this.#fail(error);
      });
    return typing;
  }

  /** One at a time; of those asked for meanwhile only the last counts. */
  #resize(size: ResizeTerminal): void {
    this.#wanted = size;
    if (this.#resizing) return;
    this.#resizing = true;
    void this.#resizeAll().finally(() => (this.#resizing = false));
  }

  async #resizeAll(): Promise<void> {
    while (this.#wanted !== null) {
      const size = this.#wanted;
      this.#wanted = null;
      await this.#of()
        .resize(this.#id, size)
        .catch((error: unknown) => this.#complain(error));
    }
  }

  #ping(): void {
    if (!this.#alive) return this.#socket.terminate();
    this.#alive = false;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  #say(message: TerminalMessage): void {
    this.#send(JSON.stringify(message));
  }

  #send(data: Buffer | string): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#lastSent = promise;
    this.#socket.send(data, () => resolve());
  }

  /** Tells of something that does not end the view. */
  #complain(error: unknown): void {
    this.#say({ type: "error", fatal: false, problem: toWorkfortError(error).toProblem() });
  }

  #fail(error: unknown): void {
    if (this.#gone.signal.aborted) return;
    this.#say({ type: "error", fatal: true, problem: toWorkfortError(error).toProblem() });
    this.close(closeFailed);
  }

  #of(): GuestTerminals {
    if (this.#terminals === null) throw new Error("a view has no terminal before it runs");
    return this.#terminals;
  }
}

function toRequest(data: Buffer): ResizeTerminal {
  let json: unknown;
  try {
    json = JSON.parse(data.toString("utf8"));
  } catch {
    throw new WorkfortError("invalid_request", "body: a text message must be JSON");
  }
  const parsed = TerminalRequest.safeParse(json);
  if (!parsed.success) throw invalid("body", parsed.error);
  return { columns: parsed.data.columns, rows: parsed.data.rows };
}
