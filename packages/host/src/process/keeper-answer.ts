import type { Socket } from "node:net";
import type * as z from "zod";

/** - `unreachable`: nobody listens, or the keeper went away, so neither keeper nor VMM lives
 *  - `ended`, `running`, `full`: what the keeper refused, and why
 *  - `protocol`: it answered late, not at all, or something else than the protocol says; it may well live */
export type KeeperErrorCode = "unreachable" | "ended" | "running" | "full" | "protocol";

export class KeeperError extends Error {
  override readonly name = "KeeperError";
  readonly code: KeeperErrorCode;

  constructor(code: KeeperErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** the connection broke or closed before the answer was complete */
export class ConnectionLost extends KeeperError {
  constructor(message: string, options?: ErrorOptions) {
    super("protocol", message, options);
  }
}

/** of a line of an answer, bytes; the keeper's own are below 256 */
const longestLine = 4096;

const refusals: Record<string, { code: KeeperErrorCode; why: string }> = {
  ended: { code: "ended", why: "the VMM has ended" },
  running: { code: "running", why: "the VMM still runs" },
  full: { code: "full", why: "the VMM does not read its standard input" },
};

/** Reads an answer from a keeper's socket: lines of JSON, and counted bytes after some of them. */
export interface ReadAnswer {
  line<T>(schema: z.ZodType<T>): Promise<T>;
  bytes(length: number): Promise<Buffer>;
  /** what comes until the keeper closes the connection */
  rest(): AsyncGenerator<Buffer>;
}

export function readAnswer(socket: Socket, path: string): ReadAnswer {
  const source = (socket as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);

  const fail = (what: string, cause?: unknown): KeeperError =>
    new KeeperError("protocol", `the keeper at ${path} ${what}`, { cause });
  /** the next bytes; null at the end */
  const next = async (): Promise<Buffer | null> => {
    try {
      const { done, value } = await source.next();
      return done ? null : value;
    } catch (error) {
      throw new ConnectionLost(`the keeper at ${path} broke off: ${(error as Error).message}`, { cause: error });
    }
  };
  const need = async (why: string): Promise<Buffer> => {
    const chunk = await next();
    if (chunk === null)
      throw new ConnectionLost(`the keeper at ${path} closed the connection before it had answered: ${why}`);
    return chunk;
  };

  return {
    async line(schema) {
      let end: number;
      while ((end = held.indexOf("\n")) < 0) {
        if (held.length > longestLine) throw fail("sent a line that is too long");
        held = Buffer.concat([held, await need("it went away, or has too many callers")]);
      }
      const text = held.toString("utf8", 0, end);
      held = held.subarray(end + 1);
      const answer = parse(text);
      if (typeof answer?.error === "string") throw refused(path, answer.error);
      const parsed = schema.safeParse(answer);
      if (!parsed.success) throw fail("answered something unknown", parsed.error);
      return parsed.data;
    },
    async bytes(length) {
      const chunks: Buffer[] = [held];
      let missing = length - held.length;
      while (missing > 0) {
        const chunk = await need("it went away, or the bytes were read too slowly");
        chunks.push(chunk);
        missing -= chunk.length;
      }
      const all = Buffer.concat(chunks);
      held = all.subarray(length);
      return all.subarray(0, length);
    },
    async *rest() {
      if (held.length > 0) yield held;
      held = Buffer.alloc(0);
      for (let chunk = await next(); chunk !== null; chunk = await next()) yield chunk;
    },
  };
}

function refused(path: string, word: string): KeeperError {
  const { code, why } = refusals[word] ?? { code: "protocol", why: word };
  return new KeeperError(code, `the keeper at ${path} refused: ${why}`);
}

/** The line's object; undefined where it is none. */
function parse(text: string): { error?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
