export { AnswerError, DaemonUnreachable, type UnreachableReason } from "./errors.ts";
export {
  createClient,
  type BytesAnswer,
  type BytesInOperation,
  type BytesOperation,
  type CallOptions,
  type Client,
  type JsonOperation,
  type ProgressOperation,
} from "./client.ts";
export { readDenials, type DenialOptions } from "./denials.ts";
export { checkSame, fileFacts, readFile, type FileFacts, type ReadFileOptions } from "./file-content.ts";
export { watchEvents, type WatchOptions } from "./events.ts";
export {
  followProcess,
  newProcessId,
  runProcess,
  waitForProcess,
  type OutputPosition,
  type ProcessToRun,
  type RunOptions,
} from "./run-process.ts";
export { AttachedTerminal, type TerminalOptions, type TerminalSize } from "./terminal.ts";
export type { Target } from "./transport.ts";
export { WorkfortError } from "@workfort/contract/errors";
