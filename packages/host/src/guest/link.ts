import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { WorkfortError } from "@workfort/contract";
import { assemble } from "@workfort/contract/assembly";
import type { GuestAgent, GuestConnector, GuestLink, GuestRequest, GuestResponse, LinkState } from "@workfort/core";
import * as z from "zod";
import { GuestSession } from "./session.ts";

/**
 * The line to one guest: opens the channel, greets the agent, and does so again whenever the transport is lost.
 *
 *   connecting ──▶ ready ──▶ unreachable ──▶ ready …
 *
 * `connecting` lasts until the agent has answered for the first time. A ready line is pinged; one that does not
 * answer is torn down and opened again. Work in the guest is never touched by any of this.
 */
const pingEveryMs = 10_000;
const pingTimeoutMs = 10_000;
/** a guest that has not answered for so long is called unreachable instead of connecting */
const firstAnswerMs = 60_000;
/** waits between attempts, ms */
const backOffMs = [20, 50, 100, 200, 500, 1000];
/** how long a request waits for a line that is just being opened, ms */
const requestPatienceMs = 5_000;
/** clocks further apart than this are set, ms; QEMU's clock has whole seconds when the guest boots */
const clockToleranceMs = 100;
/** of the agent's answers read here */
const answerBytes = 65_536;
/** of a reason that is kept; a guest may have a say in it */
const troubleCharacters = 300;

/** codex/reference/guest-protocol.md */
const protocol = 1;

const AgentAnswer = z.object({
  protocol: z.int(),
  version: z.string().max(100),
  bootId: z.string().max(100),
  userspaceStartMs: z.number().nonnegative(),
  clockUnixMs: z.number().nonnegative(),
  uptimeMs: z.number().nonnegative(),
  failedMounts: z
    .array(z.object({ device: z.string().max(32), path: z.string().max(4096), why: z.string().max(1000) }))
    .max(64)
    .default([]),
  networkTrouble: z.string().max(4096).nullable().default(null),
});

export const http2Guests: GuestConnector = {
  connect: (open, onState) => new Http2Link(open, onState),
};

class Http2Link implements GuestLink {
  readonly #open: (signal: AbortSignal) => Promise<Duplex>;
  readonly #onState: (state: LinkState, agent: GuestAgent | null) => void;
  readonly #closing = new AbortController();
  #state: LinkState = "connecting";
  #trouble: string | null = null;
  #silent = false;
  #session: GuestSession | null = null;
  #firstAnswer = Promise.withResolvers<GuestAgent>();
  #nextSession = Promise.withResolvers<GuestSession>();

  constructor(
    open: (signal: AbortSignal) => Promise<Duplex>,
    onState: (state: LinkState, agent: GuestAgent | null) => void,
  ) {
    this.#open = open;
    this.#onState = onState;
    this.#firstAnswer.promise.catch(() => {}); // not everybody waits for it
    this.#nextSession.promise.catch(() => {});
    void this.#keepUp();
  }

  get state(): LinkState {
    return this.#state;
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  async ready(signal?: AbortSignal): Promise<GuestAgent> {
    if (signal === undefined) return await this.#firstAnswer.promise;
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([this.#firstAnswer.promise, promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async request(request: GuestRequest): Promise<GuestResponse> {
    const session = this.#session?.isOpen ? this.#session : await this.#awaitSession();
    return await session.request(request);
  }

  expectSilence(silent: boolean): void {
    this.#silent = silent;
  }

  close(): void {
    this.#closing.abort();
    this.#session?.destroy();
    const gone = new WorkfortError("agent_unreachable", "the line to the guest agent was closed");
    this.#firstAnswer.reject(gone);
    this.#nextSession.reject(gone);
  }

  async #awaitSession(): Promise<GuestSession> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(
        new WorkfortError(
          "agent_unreachable",
          `the guest agent has not answered for ${requestPatienceMs / 1000} s${this.#trouble === null ? "" : `: ${this.#trouble}`}`,
          { hint: "look at the VM's console: nexusctl vm logs" },
        ),
      );
    }, requestPatienceMs);
    try {
      return await Promise.race([this.#nextSession.promise, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #keepUp(): Promise<void> {
    const { signal } = this.#closing;
    const impatience = setTimeout(() => this.#setState("unreachable"), firstAnswerMs);
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#serveOnce(signal, () => {
          clearTimeout(impatience);
          failures = 0;
        });
      } catch (error) {
        failures += 1;
        this.#trouble = (error instanceof Error ? error.message : String(error)).slice(0, troubleCharacters);
      }
      if (this.#state === "ready") this.#setState("unreachable");
      await delay(backOffMs[Math.min(failures, backOffMs.length - 1)], undefined, { signal }).catch(() => {});
    }
    clearTimeout(impatience);
  }

  /** Opens one session and stays until it is lost. */
  async #serveOnce(signal: AbortSignal, onGreeted: () => void): Promise<void> {
    const channel = await this.#open(signal);
    const session = new GuestSession(channel);
    try {
      const agent = await greet(session);
      onGreeted();
      this.#session = session;
      this.#trouble = null;
      this.#setState("ready", agent);
      this.#firstAnswer.resolve(agent);
      this.#nextSession.resolve(session);
      await this.#watch(session, signal);
    } finally {
      session.destroy();
      channel.destroy();
      if (this.#session === session) {
        this.#session = null;
        this.#nextSession = Promise.withResolvers();
        this.#nextSession.promise.catch(() => {});
      }
    }
  }

  async #watch(session: GuestSession, signal: AbortSignal): Promise<void> {
    while (session.isOpen && !signal.aborted) {
      const idle = new AbortController();
      const waited = delay(pingEveryMs, true, { signal: idle.signal, ref: false }).catch(() => false);
      const stillOpen = await Promise.race([session.closed.then(() => false), waited]);
      idle.abort();
      if (!stillOpen) return;
      if (!this.#silent) await session.ping(pingTimeoutMs);
    }
  }

  #setState(state: LinkState, agent: GuestAgent | null = null): void {
    if (this.#state === state || this.#closing.signal.aborted) return;
    this.#state = state;
    this.#onState(state, agent);
  }
}

/** Asks the agent who it is, and sets its clock where that is off. */
async function greet(session: GuestSession): Promise<GuestAgent> {
  const answer = await session.request({ method: "GET", path: "/v1/agent", timeoutMs: pingTimeoutMs });
  const bytes = await assemble(answer.body, answerBytes);
  if (bytes === null) throw new WorkfortError("agent_failed", "the agent's greeting is too long");
  const agent = readGreeting(bytes.toString("utf8"));
  const now = Date.now();
  if (Math.abs(now - agent.clockUnixMs) > clockToleranceMs) {
    const set = await session.request({
      method: "POST",
      path: "/v1/identity",
      body: { clockUnixNs: `${now}000000` },
      timeoutMs: pingTimeoutMs,
    });
    set.body.resume();
  }
  return agent;
}

function readGreeting(text: string): z.infer<typeof AgentAnswer> {
  const parsed = AgentAnswer.safeParse(parseJson(text));
  if (!parsed.success)
    throw new WorkfortError("agent_failed", "the agent's greeting is not what the protocol asks for");
  if (parsed.data.protocol !== protocol)
    throw new WorkfortError(
      "agent_failed",
      `the agent speaks guest protocol ${parsed.data.protocol}, this nexusd ${protocol}; stop the VM and start it`,
    );
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
