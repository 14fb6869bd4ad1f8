import type { IncomingMessage, ServerResponse } from "node:http";
import { WorkfortError, type Process } from "@workfort/contract";
import { sendJson } from "./server.ts";

type OutputName = "stdout" | "stderr";

/** One process of a guest, by the guest protocol, behind the daemon's HTTP; its life is the test's to write. */
export class FakeGuest {
  readonly written: Record<OutputName, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  /** older bytes have fallen out of the ring */
  readonly start: Record<OutputName, number> = { stdout: 0, stderr: 0 };
  received: Buffer = Buffer.alloc(0);
  starts = 0;
  process: Process | null = null;
  /** does something in place of the usual answer; true where it has answered */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  /** of every data frame; a frame is never sent whole before the end of its bytes is known */
  frameBytes = 1000;
  readonly #watchers = new Set<() => void>();

  readonly answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (this.intercept(request, response)) return;
    const url = new URL(request.url ?? "", "http://d");
    const [, , , , , id, what] = url.pathname.split("/");
    if (request.method === "POST" && id === undefined) return await this.#start(request, response);
    if (this.process === null || id !== this.process.id) return problem(response, "not_found", "no such process");
    if (what === "output")
      return await this.#stream(response, {
        stdout: Number(url.searchParams.get("stdout")),
        stderr: Number(url.searchParams.get("stderr")),
      });
    if (what === "stdin") return await this.#stdin(request, response, url.searchParams);
    sendJson(response, this.process);
  };

  write(output: OutputName, text: string | Buffer): void {
    this.written[output] = Buffer.concat([this.written[output], Buffer.from(text)]);
    this.#changed();
  }

  /** Drops what the ring no longer holds. */
  forget(output: OutputName, upTo: number): void {
    this.start[output] = upTo;
  }

  exit(exitCode: number): void {
    if (this.process === null) throw new Error("it was not started");
    this.process = {
      ...this.process,
      state: "exited",
      exitCode,
      endedAt: 2,
      stdin: { ...this.process.stdin, state: "closed" },
    };
    this.#changed();
  }

  async #start(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request)) as { id: string; argv: string[]; stdin: "open" | "none" };
    if (this.process !== null) return problem(response, "guest_conflict", `the id ${body.id} is taken`);
    this.starts += 1;
    this.process = {
      id: body.id,
      pid: 7,
      argv: body.argv,
      cwd: "/",
      user: "root",
      state: "running",
      exitCode: null,
      signal: null,
      timedOut: false,
      startedAt: 1,
      endedAt: null,
      stdin: { state: body.stdin, accepted: 0 },
      stdout: { start: 0, end: 0, closed: false },
      stderr: { start: 0, end: 0, closed: false },
    };
    await this.#stream(response, { stdout: 0, stderr: 0 });
  }

  async #stream(response: ServerResponse, at: Record<OutputName, number>): Promise<void> {
    response.writeHead(200, { "content-type": "application/vnd.workfort.output" });
    this.#processFrame(response);
    while (!response.destroyed) {
      for (const output of ["stdout", "stderr"] as const) {
        if (at[output] < this.start[output]) {
          at[output] = this.start[output];
          response.write(header(4, 0, at[output]));
        }
        const bytes = this.written[output].subarray(at[output], at[output] + this.frameBytes);
        if (bytes.length === 0) continue;
        response.write(Buffer.concat([header(output === "stdout" ? 1 : 2, bytes.length, at[output]), bytes]));
        at[output] += bytes.length;
      }
      if (at.stdout < this.written.stdout.length || at.stderr < this.written.stderr.length) continue;
      if (this.process?.state === "exited") {
        this.#processFrame(response);
        response.end();
        return;
      }
      await new Promise<void>((resolve) => {
        this.#watchers.add(resolve);
        response.once("close", resolve);
      });
    }
  }

  #processFrame(response: ServerResponse): void {
    const json = Buffer.from(JSON.stringify(this.process));
    response.write(Buffer.concat([header(3, json.length, 0), json]));
  }

  async #stdin(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const accepted = this.received.length;
    if (Number(query.get("offset")) !== accepted || this.process?.stdin.state !== "open")
      return problem(response, "guest_conflict", `stdin is at ${accepted}`);
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        this.received = Buffer.concat([this.received, chunk]);
        this.process.stdin.accepted = this.received.length;
      }
    } catch {
      return; // the connection broke; what had come stays
    }
    if (query.get("close") === "true") this.process.stdin.state = "closed";
    this.#changed();
    sendJson(response, { accepted: this.received.length });
  }

  #changed(): void {
    for (const wake of this.#watchers) wake();
    this.#watchers.clear();
  }
}

function header(kind: number, length: number, offset: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt32BE(length, 4);
  bytes.writeBigUInt64BE(BigInt(offset), 8);
  return bytes;
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export function problem(
  response: ServerResponse,
  code: ConstructorParameters<typeof WorkfortError>[0],
  message: string,
): void {
  const error = new WorkfortError(code, message);
  sendJson(response, error.toProblem(), error.status);
}
