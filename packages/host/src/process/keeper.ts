/** The daemon's side of codex/reference/keeper-protocol.md. Each call opens its own connection. */

import { constants } from "node:os";
import { setTimeout } from "node:timers/promises";
import * as z from "zod";
import { ConnectionLost, KeeperError, readAnswer, type ReadAnswer } from "./keeper-answer.ts";
import { openConnection, type ConnectionOptions, type KeeperConnection } from "./keeper-connection.ts";
import { Offset, Status, type VmmEnded, type VmmStatus } from "./keeper-status.ts";

export { KeeperError, type KeeperErrorCode } from "./keeper-answer.ts";
export type { VmmEnded, VmmStatus } from "./keeper-status.ts";
export { startKeeper, type Endowment, type KeeperStart, type KeeperStarted, type Reach } from "./keeper-start.ts";

/** for a one-line answer, ms; a keeper answers at once unless the host is stuck */
const answerBoundMs = 2_000;
/** for an answer with the bytes of a ring, ms; 16 MiB on a busy host */
const bytesBoundMs = 10_000;
/** for input to be taken, ms; the keeper itself gives the VMM 2 s */
const inputBoundMs = 4_000;
/** how often a keeper whose connection broke is asked whether it lives, and the pause after each, ms */
const lossProbes = 5;
const lossProbeMs = 20;
/** most bytes of one `input` request */
const inputBytes = 4096;
/** bytes of the largest ring */
const largestRing = 16 * 1024 * 1024;

const Piece = z.object({ start: Offset, offset: Offset, length: Offset.max(largestRing) });
const Empty = z.object({});
/** what the console's ring holds from an offset on */
export interface ConsolePiece {
  /** offset of the oldest byte still held */
  start: number;
  /** offset of the first of `bytes` */
  offset: number;
  bytes: Buffer;
}

export class Keeper {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Whether the VMM runs, or how it ended. */
  async status(): Promise<VmmStatus> {
    return await this.#ask("status", async (read) => await read.line(Status));
  }

  /** Resolves when the VMM has ended; rejects with `unreachable` if the keeper goes away first, or with the signal's reason. */
  async waitForEnd(signal?: AbortSignal): Promise<VmmEnded> {
    const receive = async (read: ReadAnswer): Promise<VmmEnded> => {
      const now = await read.line(Status);
      if (now.state === "ended") return now;
      const then = await read.line(Status);
      if (then.state === "ended") return then;
      throw new KeeperError("protocol", `the keeper at ${this.#socketPath} told of an end that was none`);
    };
    try {
      return await this.#ask("wait", receive, { boundMs: null, signal });
    } catch (error) {
      throw error instanceof ConnectionLost ? await this.#explainLoss(error) : error;
    }
  }

  /** Sends the VMM a signal, which can reach nobody else; fails with `ended` after its end. */
  async signal(name: NodeJS.Signals): Promise<void> {
    await this.#ask(`signal ${constants.signals[name]}`, async (read) => await read.line(Empty));
  }

  /** What the console's ring holds from the offset on. */
  async console(fromOffset: number): Promise<ConsolePiece> {
    const receive = async (read: ReadAnswer): Promise<ConsolePiece> => {
      const { start, offset, length } = await read.line(Piece);
      return { start, offset, bytes: await read.bytes(length) };
    };
    return await this.#ask(`console ${fromOffset}`, receive, { boundMs: bytesBoundMs });
  }

  /** The console from the offset on, as it comes, until the VMM has ended; fails with `protocol` if it is read too slowly. */
  async *followConsole(fromOffset: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const connection = await this.#open(`follow ${fromOffset}`, { boundMs: null, signal });
    let offset: number;
    try {
      const read = readAnswer(connection.socket, this.#socketPath);
      ({ offset } = await read.line(Piece));
      for await (const bytes of read.rest()) {
        offset += bytes.length;
        yield bytes;
      }
    } catch (error) {
      throw connection.explain(error);
    } finally {
      connection.close();
    }
    await this.#checkWhole(offset);
  }

  /** The end of the VMM's stderr. */
  async errorOutput(): Promise<string> {
    const receive = async (read: ReadAnswer): Promise<string> => {
      const { length } = await read.line(Piece);
      return (await read.bytes(length)).toString("utf8");
    };
    return await this.#ask("error-output", receive, { boundMs: bytesBoundMs });
  }

  /** Writes to the VMM's stdin; fails with `full` if the VMM does not take it, after at most 4096 bytes that it took. */
  async input(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += inputBytes) {
      const body = bytes.subarray(at, at + inputBytes);
      await this.#ask(`input ${body.length}`, async (read) => await read.line(Empty), { boundMs: inputBoundMs, body });
    }
  }

  /** Makes an ended VMM's keeper go, and its socket with it; fails with `running` otherwise. One that is gone already is fine. */
  async release(): Promise<void> {
    const receive = async (read: ReadAnswer): Promise<void> => {
      await read.line(Empty);
      for await (const _ of read.rest()); // the connection closes when the socket's file has gone
    };
    try {
      await this.#ask("release", receive);
    } catch (error) {
      if (!(error instanceof KeeperError) || error.code !== "unreachable") throw error;
    }
  }

  /** `unreachable` if the keeper has gone, else the error itself; one that is dying still accepts for a moment. */
  async #explainLoss(error: ConnectionLost): Promise<unknown> {
    for (let probe = 0; probe < lossProbes; probe += 1) {
      try {
        await this.status();
        return error;
      } catch (found) {
        if (!(found instanceof ConnectionLost)) return found;
      }
      await setTimeout(lossProbeMs);
    }
    return error;
  }

  /** A follower's connection closes at the end, but also when it lags; a released keeper had told everything. */
  async #checkWhole(offset: number): Promise<void> {
    const status = await this.status().catch((error: unknown) => {
      if (error instanceof KeeperError && error.code === "unreachable") return null;
      throw error;
    });
    if (status === null || (status.state === "ended" && offset >= status.consoleEnd)) return;
    const lost = `the console of the keeper at ${this.#socketPath} was read too slowly and has gone on from ${offset} to ${status.consoleEnd}`;
    throw new KeeperError("protocol", `${lost}; follow it again from there`);
  }

  async #ask<T>(
    request: string,
    receive: (read: ReadAnswer) => Promise<T>,
    options: Partial<ConnectionOptions> = {},
  ): Promise<T> {
    const connection = await this.#open(request, options);
    try {
      return await receive(readAnswer(connection.socket, this.#socketPath));
    } catch (error) {
      throw connection.explain(error);
    } finally {
      connection.close();
    }
  }

  async #open(request: string, options: Partial<ConnectionOptions>): Promise<KeeperConnection> {
    return await openConnection(this.#socketPath, request, { boundMs: answerBoundMs, ...options });
  }
}
