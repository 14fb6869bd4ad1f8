import type { Socket } from "node:net";
import type * as z from "zod";

/** - `unreachable`: nobody listens, so neither keeper nor VMM lives
 *  - `ended`, `running`: what the keeper refused, and why
 *  - `protocol`: it answered something else than the protocol says */
export type KeeperErrorCode = "unreachable" | "ended" | "running" | "full" | "protocol";

export class KeeperError extends Error {
  override readonly name = "KeeperError";
  readonly code: KeeperErrorCode;

  constructor(code: KeeperErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const longestLine = 4096;

/** Reads an answer from a keeper's socket: lines of JSON, and counted bytes after some of them. */
export interface ReadAnswer {
  line<T>(schema: z.ZodType<T>): Promise<T>;
  bytes(length: number): Promise<Buffer>;
  rest(): AsyncGenerator<Buffer>;
}

export function readAnswer(socket: Socket, path: string): ReadAnswer {
  const source = (socket as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);

  const more = async (): Promise<boolean> => {
    let next: IteratorResult<Buffer>;
    try {
      next = await source.next();
    } catch (error) {
      throw new KeeperError("protocol", `the keeper at ${path} broke off: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if (next.done) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };
  const need = async (): Promise<void> => {
    if (!(await more()))
      throw new KeeperError("protocol", `the keeper at ${path} closed the connection before it had answered`);
  };
  const take = (length: number): Buffer => {
    const taken = held.subarray(0, length);
    held = held.subarray(length);
    return taken;
  };

  return {
    async line(schema) {
      let end = held.indexOf(10);
      while (end < 0) {
        if (held.length > longestLine)
          throw new KeeperError("protocol", `the keeper at ${path} sent a line that is too long`);
        await need();
        end = held.indexOf(10);
      }
      const answer: unknown = JSON.parse(take(end + 1).toString("utf8"));
      const refusal = (answer as { error?: unknown }).error;
      if (typeof refusal === "string")
        throw new KeeperError(
          refusal === "ended" || refusal === "running" || refusal === "full" ? refusal : "protocol",
          `the keeper at ${path} refused: ${refusal}`,
        );
      const parsed = schema.safeParse(answer);
      if (!parsed.success) throw new KeeperError("protocol", `the keeper at ${path} answered something unknown`);
      return parsed.data;
    },
    async bytes(length) {
      while (held.length < length) await need();
      return take(length);
    },
    async *rest() {
      do {
        if (held.length > 0) yield take(held.length);
      } while (await more());
    },
  };
}
