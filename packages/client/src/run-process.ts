import type { Process, StartProcess } from "@workfort/contract";
import { WorkfortError } from "@workfort/contract/errors";
import { cutFrames, OutputStreamError, type OutputFrame } from "@workfort/contract/output-frames";
import type { Client } from "./client.ts";
import { AnswerError, DaemonUnreachable } from "./errors.ts";
import { Backoff, retryDelaysMs } from "./retry.ts";
import { feedStdin } from "./stdin-feed.ts";

/** what to start; `id` is made up where it is absent, `attach` and `stdin` follow from the options */
export type ProcessToRun = Omit<StartProcess, "attach" | "stdin">;

/** what running a process asks of a client */
export type ProcessClient = Pick<Client, "call" | "bytes" | "send">;

type OutputName = "stdout" | "stderr";

export interface RunOptions {
  /** written to the process's stdin and closed at its end; without it the process has none */
  stdin?: AsyncIterable<Uint8Array> | undefined;
  /** the process waits (by its full pipe) while the promise is pending */
  onStdout?: ((bytes: Uint8Array) => void | Promise<void>) | undefined;
  onStderr?: ((bytes: Uint8Array) => void | Promise<void>) | undefined;
  /** the guest has it */
  onStart?: ((process: Process) => void) | undefined;
  /** the line broke and is made again; output goes on where it stopped */
  onBreak?: ((error: unknown) => void) | undefined;
  /** bytes that fell out of the guest's ring while nobody was attached */
  onGap?: ((output: OutputName, lostBytes: number) => void) | undefined;
  /** ends the watching, not the process */
  signal?: AbortSignal | undefined;
  /** waits between tries to attach again, in `ms` */
  retryDelaysMs?: readonly number[];
}

/** bytes of each output to begin behind */
export type OutputPosition = Readonly<Record<OutputName, number>>;

export function newProcessId(): string {
  return `run-${process.getBuiltinModule("node:crypto").randomBytes(10).toString("hex")}`;
}

/**
 * Runs a process in a VM to its end and hands over its output as it comes.
 *
 * The process is an object of the guest: where the line to the daemon breaks (a restart, say), this attaches again
 * at the byte where it stopped. Its id is chosen here, so that starting again after a lost answer starts it once.
 */
export async function runProcess(
  client: ProcessClient,
  vm: string,
  start: ProcessToRun,
  options: RunOptions = {},
): Promise<Process> {
  const run = new Run(client, vm, { ...start, id: start.id ?? newProcessId() }, options);
  return await run.toEnd();
}

/** Hands over the output of a process that has been started already, from these places on, to its end. */
export async function followProcess(
  client: ProcessClient,
  vm: string,
  id: string,
  from: OutputPosition,
  options: Omit<RunOptions, "stdin"> = {},
): Promise<Process> {
  return await new Run(client, vm, { id }, options, from).toEnd();
}

/** Waits for the end of a process, over breaks of the line. */
export async function waitForProcess(
  client: ProcessClient,
  vm: string,
  id: string,
  { signal, retryDelaysMs: delaysMs = retryDelaysMs }: Pick<RunOptions, "signal" | "retryDelaysMs"> = {},
): Promise<Process> {
  const backoff = new Backoff(delaysMs);
  for (let first = true; ; first = false) {
    try {
      return await client.call("process.wait", { params: { vm, process: id } }, { signal });
    } catch (error) {
      if (first && !isLost(error)) throw error;
      await backoff.afterFailure(error, signal ?? new AbortController().signal);
    }
  }
}

/** what is to be started, or, without a command, has been */
type Wanted = (ProcessToRun & { id: string }) | { id: string; argv?: undefined };

class Run {
  readonly #client: ProcessClient;
  readonly #params: { vm: string; process: string };
  readonly #wanted: Wanted;
  readonly #options: RunOptions;
  readonly #delaysMs: readonly number[];
  readonly #ending = new AbortController();
  readonly #position: Record<OutputName, number>;
  #latest: Process | null = null;
  #feeding: Promise<void> | null = null;

  constructor(
    client: ProcessClient,
    vm: string,
    wanted: Wanted,
    options: RunOptions,
    from: OutputPosition = { stdout: 0, stderr: 0 },
  ) {
    this.#client = client;
    this.#params = { vm, process: wanted.id };
    this.#wanted = wanted;
    this.#position = { ...from };
    this.#options = options;
    this.#delaysMs = options.retryDelaysMs ?? retryDelaysMs;
  }

  async toEnd(): Promise<Process> {
    const { signal } = this.#options;
    const forward = (): void => this.#ending.abort(signal?.reason);
    signal?.addEventListener("abort", forward, { once: true });
    if (signal?.aborted) forward();
    try {
      return await this.#follow();
    } finally {
      signal?.removeEventListener("abort", forward);
      this.#ending.abort();
      await this.#feeding;
    }
  }

  async #follow(): Promise<Process> {
    const backoff = new Backoff(this.#delaysMs);
    for (let first = true; ; first = false) {
      let last: OutputFrame | null = null;
      try {
        for await (const frame of cutFrames(await this.#attach(first), toProcess)) {
          backoff.reset();
          await this.#take(frame);
          last = frame;
        }
        if (last?.kind === "process" && last.process.state === "exited") return last.process;
        throw new OutputStreamError("the output stream ended before the process did");
      } catch (error) {
        // without a connection the first time there is nothing to go on with
        if (first && this.#latest === null && !isLost(error)) throw error;
        await backoff.afterFailure(error, this.#ending.signal);
        this.#options.onBreak?.(error);
      }
    }
  }

  async #attach(first: boolean): Promise<AsyncIterable<Uint8Array>> {
    const signal = this.#ending.signal;
    const wanted = this.#wanted;
    if (this.#latest === null && wanted.argv !== undefined) {
      const body = {
        ...wanted,
        attach: true,
        stdin: this.#options.stdin === undefined ? "none" : "open",
      } as const;
      try {
        return (await this.#client.bytes("process.start", { params: { vm: this.#params.vm }, body }, { signal })).body;
      } catch (error) {
        // started by the try whose answer was lost
        const taken = error instanceof WorkfortError && error.code === "guest_conflict" && !first;
        if (!taken) throw error;
      }
    }
    const { stdout, stderr } = this.#position;
    const query = { stdout: String(stdout), stderr: String(stderr), follow: "true" } as const;
    return (await this.#client.bytes("process.output", { params: this.#params, query }, { signal })).body;
  }

  async #take(frame: OutputFrame): Promise<void> {
    if (frame.kind === "gap") return; // the next data frame's offset says as much, and of which output
    if (frame.kind === "process") {
      if (this.#latest === null) this.#started(frame.process);
      this.#latest = frame.process;
      return;
    }
    const at = this.#position[frame.kind];
    const end = frame.offset + frame.bytes.length;
    if (end <= at) return;
    if (frame.offset > at) this.#options.onGap?.(frame.kind, frame.offset - at);
    this.#position[frame.kind] = end;
    const deliver = frame.kind === "stdout" ? this.#options.onStdout : this.#options.onStderr;
    await deliver?.(frame.bytes.subarray(Math.max(0, at - frame.offset)));
  }

  #started(process: Process): void {
    const { stdin: source, onStart } = this.#options;
    if (source !== undefined) {
      const feed = { client: this.#client, params: this.#params, source, signal: this.#ending.signal };
      // a failure to write ends the run; its end is no failure of the feed
      this.#feeding = feedStdin({ ...feed, retryDelaysMs: this.#delaysMs }).catch((error: unknown) =>
        this.#ending.abort(error),
      );
    }
    onStart?.(process);
  }
}

function isLost(error: unknown): boolean {
  return error instanceof OutputStreamError || (error instanceof DaemonUnreachable && error.reason === "lost");
}

/** The daemon has checked what the guest said; this is a guard against talking to something else. */
function toProcess(json: unknown): Process {
  const { id, state } = Object(json) as Partial<Process>;
  if (typeof id !== "string" || (state !== "running" && state !== "exited"))
    throw new AnswerError("a process frame of the daemon does not hold a process");
  return json as Process;
}
