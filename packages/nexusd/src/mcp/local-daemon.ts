import { Readable } from "node:stream";
import { operations, type Operation, type OperationName } from "@workfort/contract";
import type { Daemon } from "@workfort/mcp";
import { toWorkfortError } from "../http/errors.ts";
import { Bytes, type Call, type Handlers } from "../http/handlers.ts";
import { checkInput } from "../http/input.ts";

interface Given {
  params?: Record<string, string>;
  query?: Record<string, string | undefined>;
  body?: unknown;
}

interface Options {
  signal?: AbortSignal | undefined;
}

/** An operation is asked for; `bytes` is the body of one that takes raw bytes. */
export type Ask = (name: OperationName, given: Given, options: Options, bytes?: Readable) => Promise<unknown>;

/** Asks without a socket in between: the same operations, checked by the same rows. */
export function askLocally(handlers: Handlers): Ask {
  return async (name, given, { signal }, bytes) => {
    const row: Operation = operations[name];
    const call: Call = {
      signal: signal ?? new AbortController().signal,
      onProgress: () => {},
      bytes: bytes ?? Readable.from([]),
      headers: {},
    };
    const handler = handlers[name] as (input: unknown, call: Call) => unknown;
    try {
      return await handler(checkInput(row, given), call);
    } catch (error) {
      signal?.throwIfAborted();
      throw toWorkfortError(error);
    }
  };
}

/** The client's face over one function. */
export function daemonOf(ask: Ask): Daemon {
  const face = {
    call: (name: OperationName, given: Given = {}, options: Options = {}) => ask(name, given, options),
    bytes: async (name: OperationName, given: Given = {}, options: Options = {}) => {
      const { source } = (await ask(name, given, options)) as Bytes;
      return { mediaType: operations[name as "vm.console"].mediaType ?? "application/octet-stream", body: source };
    },
    send: (name: OperationName, given: Given, body: AsyncIterable<Uint8Array>, options: Options = {}) =>
      ask(name, given, options, Readable.from(body)),
  };
  return face as unknown as Daemon;
}
