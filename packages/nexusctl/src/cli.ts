import { createClient, type Client } from "@workfort/client/client";
import { locate, type Locations } from "@workfort/contract/locations";
import { painter, wantsColour, type Paint } from "./format/colour.ts";
import { Failure, UsageError } from "./failures.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** one of the two standard outputs */
class Output {
  readonly stream: NodeJS.WriteStream;
  readonly paint: Paint;

  constructor(stream: NodeJS.WriteStream, env: Env) {
    this.stream = stream;
    this.paint = painter(wantsColour(this.isTty, env));
  }

  get isTty(): boolean {
    return this.stream.isTTY === true;
  }

  /** columns of the terminal; without one lines are not broken */
  get columns(): number {
    return this.isTty ? this.stream.columns || 80 : Infinity;
  }

  write(text: string): void {
    if (text !== "") this.stream.write(text);
  }

  /** Writes bytes; the promise is pending while the reader is behind. */
  async pour(bytes: Uint8Array): Promise<void> {
    if (this.stream.write(bytes)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stream.once("drain", resolve);
    await promise;
  }
}

/** the exit code of a program that SIGPIPE ends */
export const brokenPipe = 141;

/** the part of `process` that is used */
export interface Host {
  readonly env: Env;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** What a command has to work with. Each part is made when it is first asked for. */
export class Cli {
  /** the reader of our output has left: ends without a word, unless a command has something to end first */
  onBrokenPipe: () => void = () => process.exit(brokenPipe);
  readonly #host: Host;
  #out: Output | null = null;
  #err: Output | null = null;
  #client: Client | null = null;
  #locations: Locations | null = null;

  constructor(host: Host) {
    this.#host = host;
  }

  get env(): Env {
    return this.#host.env;
  }

  get out(): Output {
    this.#out ??= this.#output(this.#host.stdout);
    return this.#out;
  }

  get err(): Output {
    this.#err ??= this.#output(this.#host.stderr);
    return this.#err;
  }

  get locations(): Locations {
    try {
      this.#locations ??= locate(this.env, process.getuid?.() ?? 0);
    } catch (error) {
      throw new UsageError((error as Error).message);
    }
    return this.#locations;
  }

  get client(): Client {
    this.#client ??= createClient({ socket: this.locations.socket });
    return this.#client;
  }

  get now(): number {
    return Date.now();
  }

  /** what to type next; only for people */
  hint(text: string): void {
    if (this.out.isTty && this.err.isTty) this.err.write(`${this.err.paint("dim", `next: ${text}`)}\n`);
  }

  close(): void {
    this.#client?.close();
  }

  #output(stream: NodeJS.WriteStream): Output {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw new Failure("write the output", error);
      this.onBrokenPipe();
    });
    return new Output(stream, this.env);
  }
}
