import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, promises as fs, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { checkout, eventually, node, testEnvironment } from "@workfort/testing";

/**
 * Firecracker as it is tried by itself: the double, or where FIRECRACKER_ORIGINAL names it the program, which boots only
 * where KVM does. The lab runs the same tests over it.
 */
export const original = process.env["FIRECRACKER_ORIGINAL"];
export const isDouble = original === undefined;

/** the answer to what is done, byte for byte */
export const noContent = "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";

export function withBody(status: number, body: string, more = ""): string {
  const length = Buffer.byteLength(body);
  return `HTTP/1.1 ${status} \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n${more}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

/** The double as a program of its own, as tests put it on the PATH. */
async function makeDouble(directory: string, faults = ""): Promise<string> {
  const program = join(directory, "firecracker");
  const main = join(checkout, "packages/testing/src/firecracker/main.ts");
  const lines = ["#!/bin/sh", `export FIRECRACKER_DOUBLE_FAULT='${faults}'`, `exec '${node}' '${main}' "$@"`];
  await fs.writeFile(program, `${lines.join("\n")}\n`, { mode: 0o755 });
  return program;
}

/** A connection to a Unix socket, with all that has come over it. */
export class Connection {
  readonly socket: Socket;
  received = "";
  isClosed = false;

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on("data", (bytes) => (this.received += bytes.toString("latin1")));
    this.socket.on("error", () => {});
    this.socket.on("close", () => (this.isClosed = true));
  }

  send(text: string): this {
    this.socket.write(text);
    return this;
  }

  /** Resolves with everything received when so many answers are whole, or the connection is closed. */
  async answers(count = 1): Promise<string> {
    await eventually(
      () => this.received,
      (text) => this.isClosed || wholeAnswers(text) >= count,
    );
    return this.received;
  }
}

function wholeAnswers(text: string): number {
  let count = 0;
  for (let rest = text; ; count += 1) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return count;
    const length = Number(/Content-Length: (\d+)/.exec(rest.slice(0, end))?.[1] ?? 0);
    if (rest.length < end + 4 + length) return count;
    rest = rest.slice(end + 4 + length);
  }
}

/** A Firecracker, or its double, in a directory of its own, which is its working directory too. */
export class RunningProgram {
  readonly directory: string;
  readonly #child: ChildProcess;
  readonly #connections: Connection[] = [];

  constructor(program: string, directory: string, args: readonly string[]) {
    this.directory = directory;
    const [output, errors] = [openSync(this.path("output"), "w"), openSync(this.path("errors"), "w")];
    this.#child = spawn(program, args, { cwd: directory, stdio: ["ignore", output, errors] });
    closeSync(output);
    closeSync(errors);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), "latin1");
  }

  get output(): string {
    return this.read("output");
  }

  /** Resolves when its API can be reached. */
  async ready(): Promise<void> {
    await eventually(
      () => [this.hasEnded, existsSync(this.path("api")), this.output],
      ([ended, exists, log]) => ended === true || (exists === true && /API server started/.test(String(log))),
    );
    assert.equal(this.hasEnded, false, this.output + this.read("errors"));
  }

  connect(name = "api"): Connection {
    const connection = new Connection(this.path(name));
    this.#connections.push(connection);
    return connection;
  }

  /** The bytes of the answer to `PUT /path {"body":1}`. */
  async ask(request: string): Promise<string> {
    const connection = this.connect().send(bytesOf(request));
    const answer = await connection.answers();
    connection.socket.destroy();
    return answer;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves when it has ended, with its exit code or the signal that ended it. */
  async end(): Promise<number | string | null> {
    if (!this.hasEnded) await once(this.#child, "exit");
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The QEMUs that name its directory. */
  async guests(): Promise<string[]> {
    const found: string[] = [];
    for (const pid of await fs.readdir("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      const line = await fs.readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
      if (line.startsWith("qemu-system") && line.includes(this.directory)) found.push(pid);
    }
    return found;
  }

  /** Ends what it has not ended itself, and fails where its guest outlives it. */
  async dispose(): Promise<void> {
    for (const connection of this.#connections) connection.socket.destroy();
    this.kill("SIGKILL");
    await this.end();
    await eventually(
      () => this.guests(),
      (guests) => guests.length === 0,
    );
  }
}

/** `METHOD /path body` as a request. */
export function bytesOf(request: string): string {
  const [, line, body] = /^(\S+ \S+)(?: ([^]*))?$/.exec(request) ?? [];
  const length = body === undefined ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${line} HTTP/1.1\r\n${length}\r\n${body ?? ""}`;
}

/** Runs it with its API in `api` of its directory; the faults are the double's. */
export async function withProgram(
  options: { faults?: string; args?: readonly string[]; withoutApi?: boolean },
  use: (running: RunningProgram) => Promise<void>,
): Promise<void> {
  const directory = await fs.mkdtemp(join(testEnvironment().root, "fc"));
  try {
    const program = original ?? (await makeDouble(directory, options.faults));
    await fs.writeFile(join(directory, "disk"), "x".repeat(1024));
    const api = options.withoutApi === true ? [] : ["--api-sock", "api"];
    const running = new RunningProgram(program, directory, [...api, ...(options.args ?? [])]);
    try {
      await use(running);
    } finally {
      await running.dispose();
    }
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}
