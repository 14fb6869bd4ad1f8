import type { IncomingMessage } from "node:http";
import { errorCatalogue, errorCodes, WorkfortError } from "@workfort/contract/errors";
import type { Problem } from "@workfort/contract";
import { AnswerError, DaemonUnreachable } from "./errors.ts";

/** a JSON answer, and a line of a progress answer, may have this many bytes */
export const maxJsonBytes = 64 * 1024 * 1024;
const maxProblemBytes = 1024 * 1024;

/** The bytes of an answer; a connection that breaks in the middle is DaemonUnreachable with reason `lost`. */
export async function* bytesOf(answer: IncomingMessage, address: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new DaemonUnreachable(address, "lost", { code: (error as NodeJS.ErrnoException).code, cause: error });
  }
}

export async function readJson(bytes: AsyncIterable<Buffer>, limit: number = maxJsonBytes): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > limit) throw new AnswerError(`the daemon's answer is over ${limit / 1024 / 1024} MiB`);
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks).toString("utf8"));
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AnswerError("the daemon's answer is not JSON", { cause: error });
  }
}

/** The error that an answer of status 400 and above stands for. */
export async function toError(answer: IncomingMessage, address: string, signal?: AbortSignal): Promise<Error> {
  const status = answer.statusCode ?? 0;
  let problem: unknown;
  try {
    problem = await readJson(bytesOf(answer, address, signal), maxProblemBytes);
  } catch (error) {
    if (!(error instanceof AnswerError)) return error as Error;
  }
  if (isProblem(problem)) return fromProblem(problem, status);
  return new AnswerError(`${address} answered status ${status} without saying why; is it nexusd that listens there?`);
}

export function isProblem(value: unknown): value is Problem {
  const { code, detail } = (value ?? {}) as Partial<Record<keyof Problem, unknown>>;
  return typeof code === "string" && typeof detail === "string";
}

/** A code that this client does not know (a newer daemon's) becomes the known one with the same status. */
export function fromProblem(problem: Problem, status: number = problem.status): WorkfortError {
  if (Object.hasOwn(errorCatalogue, problem.code)) return WorkfortError.fromProblem(problem);
  const code = errorCodes.find((known) => errorCatalogue[known].status === status) ?? "internal";
  return WorkfortError.fromProblem({ ...problem, code });
}
