import type { Readable } from "node:stream";
import { Terminal, WorkfortError, type CreateTerminal, type ResizeTerminal } from "@workfort/contract";
import * as z from "zod";
import { askJson, askStream, askToForget } from "./guest-answer.ts";
import type { GuestLink } from "./ports.ts";
import { cutTerminalFrames, type TerminalFrame } from "./terminal-frames.ts";

const Terminals = z.object({ terminals: z.array(Terminal).max(64) });
const Accepted = z.object({ accepted: z.int().nonnegative() });

/** Terminals in a guest, through its agent. What it answers is bounded and checked before it goes on to a caller. */
export class GuestTerminals {
  readonly #link: GuestLink;

  constructor(link: GuestLink) {
    this.#link = link;
  }

  /** Whether both are those of one guest. */
  areThoseOf(other: GuestTerminals): boolean {
    return this.#link === other.#link;
  }

  async create(request: CreateTerminal): Promise<Terminal> {
    return await askJson(this.#link, { method: "POST", path: "/v1/terminals", body: request }, Terminal);
  }

  async list(): Promise<Terminal[]> {
    return (await askJson(this.#link, { method: "GET", path: "/v1/terminals" }, Terminals)).terminals;
  }

  async get(id: string): Promise<Terminal> {
    return await askJson(this.#link, { method: "GET", path: `/v1/terminals/${id}` }, Terminal);
  }

  async resize(id: string, size: ResizeTerminal): Promise<Terminal> {
    return await askJson(this.#link, { method: "POST", path: `/v1/terminals/${id}/resize`, body: size }, Terminal);
  }

  /** Types bytes in as fast as the terminal's programs read them; resolves at their end. */
  async input(id: string, bytes: Readable, signal: AbortSignal): Promise<{ accepted: number }> {
    const path = `/v1/terminals/${id}/input`;
    return await askJson(this.#link, { method: "POST", path, bytes, timeoutMs: null, signal }, Accepted);
  }

  async delete(id: string): Promise<void> {
    await askToForget(this.#link, `/v1/terminals/${id}`);
  }

  /** The screen, then what is shown, until the terminal has ended or the reader has had enough. */
  async *attach(
    id: string,
    size: ResizeTerminal | null,
    signal: AbortSignal,
  ): AsyncGenerator<TerminalFrame, void, undefined> {
    const query = size === null ? "" : `?columns=${size.columns}&rows=${size.rows}`;
    const stream = await askStream(this.#link, { method: "GET", path: `/v1/terminals/${id}/attach${query}`, signal });
    try {
      yield* cutTerminalFrames(stream);
    } catch (error) {
      if (error instanceof WorkfortError) throw error;
      throw new WorkfortError("agent_unreachable", "the line to the guest agent broke off", { cause: error });
    } finally {
      stream.destroy();
    }
  }
}
