import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { constants } from "node:os";
import * as z from "zod";
import { KeeperError, readAnswer, type ReadAnswer } from "./keeper-answer.ts";

export { KeeperError } from "./keeper-answer.ts";

/** The daemon's side of codex/reference/keeper-protocol.md. Each call opens its own connection. */

/** a keeper answers at once; a busy host may take longer, ms */
const answerBoundMs = 5_000;
/** for a VMM to be executed, ms */
const startBoundMs = 10_000;

export interface KeeperStart {
  /** path of the keeper program */
  program: string;
  socketPath: string;
  consoleBytes: number;
  /** the VMM and its arguments */
  argv: readonly string[];
}

export interface KeeperStarted {
  keeperPid: number;
  vmmPid: number;
  /** field 22 of `/proc/<pid>/stat`, clock ticks since boot */
  vmmStartTime: number;
}

const Started = z.object({ keeper: z.literal(1), keeperPid: z.int(), vmmPid: z.int(), vmmStartTime: z.int() });

const Status = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("running"),
    vmmPid: z.int(),
    vmmStartTime: z.int(),
    startedAt: z.int(),
    consoleEnd: z.int(),
  }),
  z.object({
    state: z.literal("ended"),
    exitCode: z.int().nullable(),
    signal: z.int().nullable(),
    startedAt: z.int(),
    endedAt: z.int(),
    consoleEnd: z.int(),
    errorEnd: z.int(),
  }),
]);

export type VmmProcessStatus =
  | { state: "running"; vmmPid: number; vmmStartTime: number; consoleEnd: number }
  | { state: "ended"; exitCode: number | null; signal: string | null; endedAt: number; consoleEnd: number };

const Piece = z.object({
  start: z.int().nonnegative(),
  offset: z.int().nonnegative(),
  length: z
    .int()
    .nonnegative()
    .max(16 * 1024 * 1024),
});
const Empty = z.object({});

/** Starts a keeper in a session of its own; resolves when the VMM has been executed. */
export async function startKeeper(start: KeeperStart): Promise<KeeperStarted> {
  const child = spawn(
    start.program,
    ["--socket", start.socketPath, "--console-bytes", String(start.consoleBytes), "--", ...start.argv],
    {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      cwd: "/",
    },
  );
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString("utf8")).slice(-4096)));
  const late = setTimeout(() => child.kill("SIGKILL"), startBoundMs);
  try {
    // the keeper closes its streams once the VMM is executed; if that failed it exits, which closes them too
    await once(child.stdout, "close");
  } catch (error) {
    throw new KeeperError("unreachable", `the keeper ${start.program} could not be run: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    clearTimeout(late);
    child.unref();
  }
  const line = output.split("\n")[0] ?? "";
  const parsed = line === "" ? null : Started.safeParse(JSON.parse(line));
  if (parsed?.success)
    return { keeperPid: parsed.data.keeperPid, vmmPid: parsed.data.vmmPid, vmmStartTime: parsed.data.vmmStartTime };
  const [code] = child.exitCode === null ? ((await once(child, "exit")) as [number | null]) : [child.exitCode];
  throw new KeeperError("unreachable", errors.trim() === "" ? `the keeper ended with code ${code}` : errors.trim());
}

export class Keeper {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async status(): Promise<VmmProcessStatus> {
    return presentStatus(await this.#ask("status", async (read) => await read.line(Status)));
  }

  /** Resolves when the VMM has ended; rejects if the keeper goes away first, or with the signal's reason. */
  async waitForEnd(signal?: AbortSignal): Promise<VmmProcessStatus & { state: "ended" }> {
    return await this.#ask(
      "wait",
      async (read) => {
        for (;;) {
          const status = presentStatus(await read.line(Status));
          if (status.state === "ended") return status;
        }
      },
      { boundMs: null, signal },
    );
  }

  /** The keeper is the VMM's parent, so the signal can reach nobody else. */
  async signal(name: NodeJS.Signals): Promise<void> {
    await this.#ask(`signal ${constants.signals[name]}`, async (read) => await read.line(Empty));
  }

  /** what the console ring holds from the offset on */
  async console(fromOffset: number): Promise<{ offset: number; bytes: Buffer }> {
    return await this.#ask(`console ${fromOffset}`, async (read) => {
      const piece = await read.line(Piece);
      return { offset: piece.offset, bytes: await read.bytes(piece.length) };
    });
  }

  /** The console from the offset on, as it comes, until the VMM has ended. */
  async *followConsole(fromOffset: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const socket = await this.#connect(signal);
    try {
      socket.write(`follow ${fromOffset}\n`);
      const read = readAnswer(socket, this.#socketPath);
      const piece = await read.line(Piece);
      yield await read.bytes(piece.length);
      yield* read.rest();
    } finally {
      socket.destroy();
    }
  }

  /** the end of the VMM's stderr */
  async errorOutput(): Promise<string> {
    return await this.#ask("error-output", async (read) =>
      (await read.bytes((await read.line(Piece)).length)).toString("utf8"),
    );
  }

  /** Makes an ended VMM's keeper go; fails with `running` otherwise. A keeper that is gone already is fine. */
  async release(): Promise<void> {
    try {
      await this.#ask("release", async (read) => await read.line(Empty));
    } catch (error) {
      if (!(error instanceof KeeperError) || error.code !== "unreachable") throw error;
    }
  }

  async #ask<T>(
    request: string,
    receive: (read: ReadAnswer) => Promise<T>,
    bounds: { boundMs?: number | null; signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const { boundMs = answerBoundMs, signal } = bounds;
    const socket = await this.#connect(signal);
    const abort = (): void =>
      void socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error("given up"));
    signal?.addEventListener("abort", abort, { once: true });
    const late =
      boundMs === null ? null : setTimeout(() => socket.destroy(new Error(`no answer within ${boundMs} ms`)), boundMs);
    try {
      socket.write(`${request}\n`);
      return await receive(readAnswer(socket, this.#socketPath));
    } finally {
      if (late !== null) clearTimeout(late);
      signal?.removeEventListener("abort", abort);
      socket.destroy();
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<Socket> {
    signal?.throwIfAborted();
    const socket = connect(this.#socketPath);
    try {
      await once(socket, "connect");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      socket.destroy();
      throw new KeeperError(
        code === "ENOENT" || code === "ECONNREFUSED" ? "unreachable" : "protocol",
        `no keeper answers at ${this.#socketPath} (${code})`,
        { cause: error },
      );
    }
    socket.on("error", () => {}); // the reader tells of it
    return socket;
  }
}

function presentStatus(status: z.infer<typeof Status>): VmmProcessStatus {
  return status.state === "running"
    ? status
    : { ...status, signal: status.signal === null ? null : signalName(status.signal) };
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}
