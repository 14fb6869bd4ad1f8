import { setTimeout as delay } from "node:timers/promises";
import { ProcessId, WorkfortError } from "@workfort/contract";
import * as z from "zod";
import type { EventSink } from "./events.ts";
import { readGuestJson } from "./guest-answer.ts";
import type { GuestLink } from "./ports.ts";

/**
 * Tells of the processes of one VM that begin through the API, and of their ends, whoever waits for them.
 *
 * Its agent numbers ends; one request waits for the next of them as long as there is a line. A guest is hostile: an
 * end is told only of what was begun, and an agent that answers with nothing new is not asked again at once.
 */
const answerBytes = 256 * 1024;
const mostProcesses = 512;
const mostEnds = 256;
const commandCharacters = 256;
/** after an answer in which there was nothing to tell, ms */
const restMs = 1_000;

const End = z.object({
  number: z.int().positive(),
  id: ProcessId,
  exitCode: z.int().min(0).max(255).nullable(),
  signal: z.string().max(32).nullable(),
  timedOut: z.boolean(),
});
type End = z.infer<typeof End>;

const Ends = z.object({
  last: z.int().nonnegative(),
  ends: z.array(End).max(mostEnds),
  running: z.array(ProcessId).max(mostProcesses),
});
type Ends = z.infer<typeof Ends>;

/** a process that was asked for, and of which the guest has not said yet that it runs */
export interface Beginning {
  id: string;
  command: string;
}

export class ProcessEvents {
  readonly #vm: { vmId: string; vmName: string };
  readonly #events: EventSink;
  readonly #beginning = new Set<Beginning>();
  /** whose answer was lost: they run or they do not */
  readonly #doubtful = new Map<string, Beginning>();
  readonly #running = new Set<string>();
  /** ends that were told before the answer to their beginning */
  readonly #early = new Map<string, End>();
  #lastEnd: number | null = null;

  constructor(vm: { id: string; name: string }, events: EventSink) {
    this.#vm = { vmId: vm.id, vmName: vm.name };
    this.#events = events;
  }

  /** Tells of the process that `start` begins, once it has begun. */
  async during<T>({ id, argv }: { id: string; argv: readonly string[] }, start: () => Promise<T>): Promise<T> {
    const one: Beginning = { id, command: (argv[0] ?? "").slice(0, commandCharacters) };
    this.#beginning.add(one);
    try {
      const answer = await start();
      this.#noteStart(one);
      return answer;
    } catch (error) {
      if (isInDoubt(error) && this.#doubtful.size < mostProcesses) this.#doubtful.set(id, one);
      throw error;
    } finally {
      this.#beginning.delete(one);
      if (!this.#isBeginning(id)) this.#early.delete(id);
    }
  }

  /** Listens to the agent until the line breaks or it answers with something else. */
  async follow(link: GuestLink): Promise<void> {
    for (let wait = false; ; wait = true) {
      const path = `/v1/ends?after=${this.#lastEnd ?? 0}&wait=${wait}`;
      const answer = await link.request({ method: "GET", path, ...(wait ? { timeoutMs: null } : {}) });
      // an agent of an older version, in a VM that has outlived its daemon, does not know this
      if (answer.status !== 200) return void answer.body.destroy();
      const ends = Ends.parse(await readGuestJson(answer.body, answerBytes));
      if (!this.#take(ends) && wait) await delay(restMs, undefined, { ref: false });
    }
  }

  /** Whether there was anything to tell. */
  #take({ last, ends, running }: Ends): boolean {
    const isFirst = this.#lastEnd === null;
    const missedSome = !isFirst && last - (this.#lastEnd ?? 0) > ends.length;
    this.#lastEnd = last;
    for (const id of [...running, ...ends.map((end) => end.id)]) {
      const doubtful = this.#doubtful.get(id);
      if (doubtful !== undefined) this.#noteStart(doubtful);
    }
    this.#doubtful.clear();
    // those that a daemon before this one has begun
    if (isFirst) for (const id of running) if (!this.#isBeginning(id)) this.#running.add(id);
    let told = false;
    for (const end of ends) told = this.#noteEnd(end) || told;
    if (missedSome) for (const id of this.#running) if (!running.includes(id)) this.#running.delete(id);
    return told;
  }

  #isBeginning(id: string): boolean {
    return [...this.#beginning].some((one) => one.id === id);
  }

  #noteStart({ id, command }: Beginning): void {
    this.#running.add(id);
    this.#events.publish({ type: "process.started", ...this.#vm, processId: id, command });
    const early = this.#early.get(id);
    if (early !== undefined) this.#noteEnd(early);
    this.#early.delete(id);
  }

  #noteEnd(end: End): boolean {
    if (!this.#running.delete(end.id)) {
      if (this.#isBeginning(end.id)) this.#early.set(end.id, end);
      return false;
    }
    const { id: processId, exitCode, signal, timedOut } = end;
    this.#events.publish({ type: "process.ended", ...this.#vm, processId, exitCode, signal, timedOut });
    return true;
  }
}

function isInDoubt(error: unknown): boolean {
  return !(error instanceof WorkfortError) || error.code === "agent_unreachable" || error.code === "timeout";
}
