import type * as z from "zod";
import type { ErrorCode } from "./errors.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/**
 * How an answer arrives.
 * - `json`: one JSON body (none with status 204).
 * - `progress`: one JSON body; a caller that accepts `application/x-ndjson` gets lines instead: any number of
 *   `{"progress": …}`, then one `{"result": …}` or `{"problem": …}`.
 * - `bytes`: a stream of bytes of the stated type.
 */
export type AnswerKind = "json" | "progress" | "bytes";

/** One thing the daemon can do. HTTP routes, OpenAPI, the client and the CLI's help all come from these rows. */
export interface Operation {
  readonly method: Method;
  /** path with `{parameters}` */
  readonly path: string;
  /** one line, shown in OpenAPI and in the CLI's help */
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** JSON body */
  readonly body?: z.ZodType;
  /** the body is raw bytes of any length instead of JSON */
  readonly bytesIn?: true;
  readonly result?: z.ZodType;
  readonly answer?: AnswerKind;
  /** media type of a `bytes` answer */
  readonly mediaType?: string;
  /** what the data of each server-sent event holds, where that is what the bytes are */
  readonly event?: z.ZodType;
  /** status of success, 200 if absent */
  readonly status?: 200 | 201 | 202 | 204;
  /** reachable over TCP without a token */
  readonly public?: true;
  /** codes this row adds to the ones every row may give */
  readonly errors: readonly ErrorCode[];
}

/** types a row without widening it */
export function operation<const T extends Operation>(row: T): T {
  return row;
}

type InferOr<T, Key extends string, Otherwise> = T extends { [K in Key]: infer S extends z.ZodType }
  ? z.infer<S>
  : Otherwise;
type InputOr<T, Key extends string, Otherwise> = T extends { [K in Key]: infer S extends z.ZodType }
  ? z.input<S>
  : Otherwise;

/** what a handler is given */
export interface OperationInput<T extends Operation> {
  params: InferOr<T, "params", Record<string, never>>;
  query: InferOr<T, "query", Record<string, never>>;
  body: InferOr<T, "body", undefined>;
}

/** what a caller gives: like OperationInput, but fields with defaults may be left out */
export type CallInput<T extends Operation> = (T extends { params: z.ZodType }
  ? { params: InputOr<T, "params", never> }
  : unknown) &
  (T extends { query: z.ZodType } ? { query?: InputOr<T, "query", never> } : unknown) &
  (T extends { body: z.ZodType } ? { body: InputOr<T, "body", never> } : unknown);

export type OperationResult<T extends Operation> = InferOr<T, "result", undefined>;
