import type { Readable } from "node:stream";
import type { OperationInput, OperationName, OperationResult, Operations, Progress } from "@workfort/contract";

/** what a handler may use beside its input */
export interface Call {
  /** aborted when the caller goes away */
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
  /** the raw body of a `bytesIn` operation */
  bytes: Readable;
}

/** an answer of bytes; ends when the source ends */
export class Bytes {
  readonly source: AsyncIterable<Uint8Array>;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.source = source;
  }
}

type Answer<Name extends OperationName> = Operations[Name] extends { answer: "bytes" }
  ? Operations[Name] extends { result: unknown }
    ? OperationResult<Operations[Name]> | Bytes
    : Bytes
  : OperationResult<Operations[Name]>;

/** one function for each row of the operations table: a row without one does not compile */
export type Handlers = {
  [Name in OperationName]: (input: OperationInput<Operations[Name]>, call: Call) => Answer<Name> | Promise<Answer<Name>>;
};
