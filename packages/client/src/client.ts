import type { IncomingMessage } from "node:http";
import type { CallInput, OperationName, OperationResult, Operations, Progress, progressType } from "@workfort/contract";
import type { WebSocket } from "ws";
import { fillPath } from "./address.ts";
import { bytesOf, fromProblem, isProblem, parseJson, readJson, toError } from "./answer.ts";
import { AnswerError } from "./errors.ts";
import { routes } from "./routes.ts";
import { Transport, type BodySource, type Target } from "./transport.ts";

type WithRow<Row> = { [Name in OperationName]: Operations[Name] extends Row ? Name : never }[OperationName];

/** operations that take raw bytes */
export type BytesInOperation = WithRow<{ bytesIn: true }>;
/** operations that may answer with a stream of bytes */
export type BytesOperation = WithRow<{ answer: "bytes" }>;
/** operations that tell how they get on */
export type ProgressOperation = WithRow<{ answer: "progress" }>;
/** operations that answer with JSON or nothing */
export type JsonOperation = Exclude<
  OperationName,
  BytesInOperation | Exclude<BytesOperation, WithRow<{ result: object }>>
>;

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface BytesAnswer {
  mediaType: string;
  /** by lower-case name */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** to be read to its end, or ended early with `return()` */
  body: AsyncIterable<Uint8Array>;
}

type Input<Name extends OperationName> = CallInput<Operations[Name]>;
type Result<Name extends OperationName> = OperationResult<Operations[Name]>;
/** the input may be left out where nothing in it is needed */
type Arguments<Name extends OperationName, Rest extends readonly unknown[] = []> =
  object extends Input<Name>
    ? [input?: Input<Name>, ...Rest, options?: CallOptions]
    : [input: Input<Name>, ...Rest, options?: CallOptions];

const lineType: typeof progressType = "application/x-ndjson";

interface AnyInput {
  params?: Record<string, string>;
  query?: Record<string, string | undefined>;
  body?: unknown;
}

/**
 * The typed client: an operation's name and input in, its result out.
 *
 * Fails with WorkfortError (the daemon refused; `code` says why), DaemonUnreachable (no daemon, or it went away),
 * AnswerError (the other side is no daemon of this interface), or the signal's reason.
 */
export class Client {
  readonly #transport: Transport;

  constructor(target: Target) {
    this.#transport = new Transport(target);
  }

  /** socket path or URL */
  get address(): string {
    return this.#transport.address;
  }

  /** Asks for an operation and gives its result (undefined where it has none). */
  async call<Name extends JsonOperation>(name: Name, ...[input, options]: Arguments<Name>): Promise<Result<Name>> {
    const answer = await this.#send(name, input, "application/json", options);
    return (await this.#json(answer, options)) as Result<Name>;
  }

  /** Like `call`, and tells every step on the way. */
  async progress<Name extends ProgressOperation>(
    name: Name,
    input: Input<Name>,
    onProgress: (progress: Progress) => void,
    options?: CallOptions,
  ): Promise<Result<Name>> {
    const answer = await this.#send(name, input, lineType, options);
    if (!(answer.headers["content-type"] ?? "").startsWith(lineType))
      return (await this.#json(answer, options)) as Result<Name>;
    const { linesOf } = await import("./lines.ts");
    for await (const text of linesOf(bytesOf(answer, this.address, options?.signal))) {
      const line = Object(parseJson(text)) as { progress?: Progress; result?: unknown; problem?: unknown };
      if (line.progress !== undefined) onProgress(line.progress);
      else if (isProblem(line.problem)) throw fromProblem(line.problem);
      else if ("result" in line) return line.result as Result<Name>;
      else throw new AnswerError(`a line of the daemon's answer to ${name} is neither progress, result nor problem`);
    }
    throw new AnswerError(`the daemon's answer to ${name} ended without a result`);
  }

  /** Asks for an operation that answers with a stream of bytes, read as fast as the caller takes them. */
  async bytes<Name extends BytesOperation>(name: Name, ...[input, options]: Arguments<Name>): Promise<BytesAnswer> {
    const answer = await this.#send(name, input, "*/*", options);
    return {
      mediaType: answer.headers["content-type"] ?? "application/octet-stream",
      headers: answer.headers,
      body: bytesOf(answer, this.address, options?.signal),
    };
  }

  /** Asks for an operation whose body is raw bytes. */
  async send<Name extends BytesInOperation>(
    name: Name,
    input: Input<Name>,
    body: BodySource,
    options?: CallOptions,
  ): Promise<Result<Name>> {
    const answer = await this.#send(name, input, "application/json", options, body);
    return (await this.#json(answer, options)) as Result<Name>;
  }

  /** Opens a WebSocket to the daemon; it has not connected yet. */
  async webSocket(path: string, protocol: string): Promise<WebSocket> {
    return await this.#transport.webSocket(path, protocol);
  }

  /** Closes kept connections; requests that are under way fail. */
  close(): void {
    this.#transport.close();
  }

  async #send(
    name: OperationName,
    given: unknown,
    accept: string,
    options: CallOptions | undefined,
    bytes?: BodySource,
  ): Promise<IncomingMessage> {
    const input = (given ?? {}) as AnyInput;
    const [method, path] = routes[name];
    const json = input.body === undefined ? undefined : Buffer.from(JSON.stringify(input.body));
    const body = bytes ?? json;
    const answer = await this.#transport.send({
      method,
      path: fillPath(path, input.params, input.query),
      accept,
      ...(body === undefined
        ? {}
        : { body, contentType: bytes === undefined ? "application/json" : "application/octet-stream" }),
      signal: options?.signal,
    });
    if ((answer.statusCode ?? 0) >= 300) throw await toError(answer, this.address, options?.signal);
    return answer;
  }

  async #json(answer: IncomingMessage, options: CallOptions | undefined): Promise<unknown> {
    if (answer.statusCode === 204) {
      answer.resume();
      return undefined;
    }
    return await readJson(bytesOf(answer, this.address, options?.signal));
  }
}

export function createClient(target: Target): Client {
  return new Client(target);
}
