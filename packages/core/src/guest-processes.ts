import type { Readable } from "node:stream";
import {
  Process,
  readOutputStream,
  WorkfortError,
  type Exec,
  type ExecResult,
  type SignalProcess,
  type StartProcess,
} from "@workfort/contract";
import { Assembly } from "@workfort/contract/assembly";
import * as z from "zod";
import { askJson, askStream, askToForget, toldPlainly } from "./guest-answer.ts";
import { newProcessId } from "./ids.ts";
import type { GuestLink } from "./ports.ts";
import type { ProcessEvents } from "./process-events.ts";

/**
 * Processes in a guest, through its agent. The guest is hostile: what it answers is bounded and checked before it
 * goes on to a caller. Output streams pass through as they are; their reader checks the frames.
 */

/** what `exec` keeps of each output */
const execOutputBytes = 1_048_576;
/** for a command to take the rest of its input once nobody hears its output any more, ms */
const restOfInputMs = 10_000;

export class GuestProcesses {
  readonly #link: GuestLink;
  readonly #events: ProcessEvents;

  constructor(link: GuestLink, events: ProcessEvents) {
    this.#link = link;
    this.#events = events;
  }

  async start(request: StartProcess): Promise<Process> {
    const body = { ...request, id: request.id ?? newProcessId(), attach: false };
    return await this.#events.during(body, () =>
      askJson(this.#link, { method: "POST", path: "/v1/processes", body }, Process),
    );
  }

  /** Starts a process and answers with its output stream. */
  async startAttached(request: StartProcess, signal?: AbortSignal): Promise<Readable> {
    const body = { ...request, id: request.id ?? newProcessId(), attach: true };
    const asked = { method: "POST", path: "/v1/processes", body, ...(signal === undefined ? {} : { signal }) } as const;
    return await this.#events.during(body, () => askStream(this.#link, asked));
  }

  async list(): Promise<Process[]> {
    return (
      await askJson(this.#link, { method: "GET", path: "/v1/processes" }, z.object({ processes: z.array(Process) }))
    ).processes;
  }

  async get(id: string): Promise<Process> {
    return await askJson(this.#link, { method: "GET", path: `/v1/processes/${id}` }, Process);
  }

  async wait(id: string, signal?: AbortSignal): Promise<Process> {
    return await askJson(
      this.#link,
      { method: "GET", path: `/v1/processes/${id}/wait`, timeoutMs: null, ...(signal === undefined ? {} : { signal }) },
      Process,
    );
  }

  async output(
    id: string,
    from: { stdout: number; stderr: number; follow: boolean },
    signal?: AbortSignal,
  ): Promise<Readable> {
    const path = `/v1/processes/${id}/output?stdout=${from.stdout}&stderr=${from.stderr}&follow=${from.follow}`;
    return await askStream(this.#link, { method: "GET", path, ...(signal === undefined ? {} : { signal }) });
  }

  async stdin(
    id: string,
    bytes: Readable,
    at: { offset: number; close: boolean },
    signal?: AbortSignal,
  ): Promise<{ accepted: number }> {
    const path = `/v1/processes/${id}/stdin?offset=${at.offset}&close=${at.close}`;
    return await askJson(
      this.#link,
      { method: "POST", path, bytes, timeoutMs: null, ...(signal === undefined ? {} : { signal }) },
      z.object({ accepted: z.int().nonnegative() }),
    );
  }

  async signal(id: string, request: SignalProcess): Promise<void> {
    await askJson(this.#link, { method: "POST", path: `/v1/processes/${id}/signal`, body: request }, z.object({}));
  }

  async delete(id: string): Promise<void> {
    await askToForget(this.#link, `/v1/processes/${id}`);
  }

  /**
   * Runs a command to its end and keeps the first MiB of each output. A caller that leaves does not end the command,
   * which gets its input all the same, or it would wait for it for ever.
   */
  async exec(request: Exec, stdin: (text: string) => Readable, signal?: AbortSignal): Promise<ExecResult> {
    const { stdin: text, ...command } = request;
    const id = newProcessId();
    const hasInput = text !== undefined;
    const stream = await this.startAttached(
      { ...command, id, stdin: hasInput ? "open" : "none", attach: true },
      hasInput ? undefined : signal,
    );
    const over = new AbortController();
    // a command that ends without reading its input is no failure of ours
    const writing: Promise<unknown> = hasInput
      ? this.stdin(id, stdin(text), { offset: 0, close: true }, over.signal).catch(() => {})
      : Promise.resolve();
    const leave = (): void => void stream.destroy();
    signal?.addEventListener("abort", leave, { once: true });
    if (signal?.aborted === true) leave();
    const kept = { stdout: new KeptOutput(), stderr: new KeptOutput() };
    let last: Process | null = null;
    try {
      for await (const frame of toldPlainly(readOutputStream(stream))) {
        if (frame.kind === "stdout" || frame.kind === "stderr") kept[frame.kind].push(frame.bytes);
        else if (frame.kind === "process") last = frame.process;
      }
    } finally {
      signal?.removeEventListener("abort", leave);
      const late = setTimeout(() => over.abort(), restOfInputMs);
      void writing.finally(() => clearTimeout(late));
    }
    await writing;
    if (last === null || last.state !== "exited")
      throw new WorkfortError("agent_failed", "the agent ended the output stream before the command had ended");
    this.delete(last.id).catch(() => {}); // the agent forgets it by itself sooner or later
    return {
      processId: last.id,
      exitCode: last.exitCode,
      signal: last.signal,
      timedOut: last.timedOut,
      stdout: kept.stdout.text(),
      stderr: kept.stderr.text(),
      truncated: kept.stdout.truncated || kept.stderr.truncated,
    };
  }
}

class KeptOutput {
  truncated = false;
  readonly #kept = new Assembly();

  push(bytes: Buffer): void {
    const kept = bytes.subarray(0, execOutputBytes - this.#kept.length);
    this.truncated ||= kept.length < bytes.length;
    this.#kept.put(kept);
  }

  text(): string {
    return this.#kept.bytes.toString("utf8");
  }
}
