import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { newProcessId, runProcess } from "@workfort/client";
import { readOutputStream } from "@workfort/contract";
import type { TestDaemon } from "../daemon.ts";
import { eventually } from "../eventually.ts";

const script = readFileSync(new URL("probe.pl", import.meta.url), "utf8");
/** what software emulation on a loaded machine may take for an answer; only a silence waits so long */
const usualTimeoutMs = 20_000;

/** One try from inside a guest, as a line for probe.pl. */
export type Attempt = string & { readonly attempt: unique symbol };

/** What a guest got. */
export interface Outcome {
  /** `connected`, `answered`, `sent`, `timeout`, or an error's name such as `ECONNREFUSED` */
  what: string;
  /** how a connection ended: `end`, `full` (all that was wanted came), `quiet`, or an error's name */
  end: string;
  bytes: Buffer;
  text: string;
}

export interface TcpOptions {
  /** several are sent one after the other, with a pause between */
  send?: Uint8Array | string | readonly (Uint8Array | string)[];
  /** bytes to wait for; by default all until the other side ends */
  wanted?: number;
  timeoutMs?: number;
}

export function tcp(address: string, port: number, options: TcpOptions = {}): Attempt {
  const { send = [], wanted = -1, timeoutMs = usualTimeoutMs } = options;
  const chunks = typeof send === "string" || send instanceof Uint8Array ? [send] : send;
  return `tcp ${address} ${port} ${timeoutMs} ${wanted} ${chunks.map(hex).join(",")}` as Attempt;
}

/** Connects, and says whether an echo comes back. */
export const echo = (address: string, port: number): Attempt => tcp(address, port, { send: "hello", wanted: 5 });

/** One request over a connection of its own. */
export function http(address: string, host: string, path = "/", port = 80): Attempt {
  return tcp(address, port, { send: `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n` });
}

export function udp(address: string, port: number, data: Uint8Array | string, timeoutMs = usualTimeoutMs): Attempt {
  return `udp ${address} ${port} ${timeoutMs} ${hex(data)}` as Attempt;
}

export function ping(address: string, timeoutMs = usualTimeoutMs): Attempt {
  return `ping ${address} ${timeoutMs}` as Attempt;
}

export function frames(...all: readonly Uint8Array[]): Attempt {
  return `frames ${all.map(hex).join(",")}` as Attempt;
}

/** Makes all these attempts at once in a VM. */
export async function attempt(daemon: TestDaemon, vm: string, attempts: readonly Attempt[]): Promise<Outcome[]> {
  let output = "";
  let errors = "";
  const { exitCode } = await runProcess(
    daemon.client,
    vm,
    { argv: ["perl", "-e", script] },
    {
      stdin: Readable.from([Buffer.from(attempts.map((line) => `${line}\n`).join(""))]),
      onStdout: (bytes) => void (output += Buffer.from(bytes).toString()),
      onStderr: (bytes) => void (errors += Buffer.from(bytes).toString()),
    },
  );
  const lines = output.split("\n").slice(0, -1);
  if (exitCode !== 0 || lines.length !== attempts.length)
    throw new Error(`the probe in ${vm} ended with ${exitCode}: ${errors}${output}`);
  return lines.map(readOutcome);
}

/** The one outcome of one attempt. */
export async function attemptOne(daemon: TestDaemon, vm: string, one: Attempt): Promise<Outcome> {
  const [outcome] = await attempt(daemon, vm, [one]);
  if (outcome === undefined) throw new Error("there is no outcome");
  return outcome;
}

/** What arrives at a VM's interface from now on; resolves when it listens. */
export class Sniffer {
  readonly #daemon: TestDaemon;
  readonly #params: { vm: string; process: string };

  private constructor(daemon: TestDaemon, params: { vm: string; process: string }) {
    this.#daemon = daemon;
    this.#params = params;
  }

  static async start(daemon: TestDaemon, vm: string): Promise<Sniffer> {
    const id = newProcessId();
    const argv = ["sh", "-c", 'echo sniff | exec perl -e "$0"', script];
    await daemon.client.bytes("process.start", { params: { vm }, body: { id, argv } });
    const sniffer = new Sniffer(daemon, { vm, process: id });
    await eventually(
      () => sniffer.#text(),
      (text) => text.startsWith("listening"),
    );
    return sniffer;
  }

  async frames(): Promise<Buffer[]> {
    const [, ...lines] = (await this.#text()).split("\n").slice(0, -1);
    return lines.map((line) => Buffer.from(line, "hex"));
  }

  async stop(): Promise<void> {
    await this.#daemon.client.call("process.signal", { params: this.#params, body: { signal: "KILL" } });
  }

  async #text(): Promise<string> {
    const { body } = await this.#daemon.client.bytes("process.output", { params: this.#params });
    let text = "";
    for await (const frame of readOutputStream(body)) if (frame.kind === "stdout") text += frame.bytes.toString();
    return text;
  }
}

function readOutcome(line: string): Outcome {
  const [what = "", end = "", data = ""] = line.split(" ");
  const bytes = Buffer.from(data, "hex");
  return { what, end, bytes, text: bytes.toString("latin1") };
}

function hex(data: Uint8Array | string): string {
  return Buffer.from(data).toString("hex");
}
