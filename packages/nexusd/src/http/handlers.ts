import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type {
  Operation,
  OperationInput,
  OperationName,
  OperationResult,
  Operations,
  Progress,
} from "@workfort/contract";
import type { EventReader } from "@workfort/core";
import type * as z from "zod";

/** what a handler may use beside its input */
export interface Call {
  /** aborted when the caller goes away */
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
  /** the raw body of a `bytesIn` operation */
  bytes: Readable;
  headers: IncomingHttpHeaders;
}

/** an answer of bytes; ends when the source ends */
export class Bytes {
  readonly source: AsyncIterable<Uint8Array>;
  /** beside those of every answer */
  readonly headers: Readonly<Record<string, string>>;

  constructor(source: AsyncIterable<Uint8Array>, headers: Readonly<Record<string, string>> = {}) {
    this.source = source;
    this.headers = headers;
  }
}

/** an answer of server-sent events; ends when the reader is over */
export class EventStream {
  readonly reader: EventReader;

  constructor(reader: EventReader) {
    this.reader = reader;
  }
}

type Answer<Row extends Operation> = Row extends { event: z.ZodType }
  ? EventStream
  : Row extends { answer: "bytes" }
    ? Bytes | (Row extends { result: z.ZodType } ? OperationResult<Row> : never)
    : OperationResult<Row>;

/** one function for each row of the operations table: a row without one does not compile */
export type Handlers = {
  [Name in OperationName]: (
    input: OperationInput<Operations[Name]>,
    call: Call,
  ) => Answer<Operations[Name]> | Promise<Answer<Operations[Name]>>;
};
