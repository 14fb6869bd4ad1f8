import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { join } from "node:path";
import type { Denial } from "@workfort/contract";
import { checkout } from "@workfort/testing";

/** A gateway in a namespace, and what nexusd would say to it. */
export class GatewayProcess {
  readonly #child: ChildProcess;
  readonly #socket: string;
  /** what it has said on its stderr: nothing, if all is well */
  errors = "";

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child;
    this.#socket = socket;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.errors += chunk.toString("utf8");
    });
  }

  static async start(namespace: string, directory: string): Promise<GatewayProcess> {
    const socket = join(directory, "control");
    const main = join(checkout, "packages/gateway/src/main.ts");
    const child = spawn(
      "nsenter",
      [`--net=${namespace}`, process.execPath, "--max-semi-space-size=2", main, "--control", socket],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const gateway = new GatewayProcess(child, socket);
    await Promise.race([
      once(child.stdout, "data"),
      once(child, "exit").then(() => {
        throw new Error(`the gateway has not started: ${gateway.errors}`);
      }),
    ]);
    return gateway;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The answer's body; fails with its message where it is an error. */
  async call<T = object>(method: string, path: string, body?: unknown): Promise<T> {
    const { status, text } = await this.raw(method, path, body === undefined ? undefined : JSON.stringify(body));
    const answer = JSON.parse(text) as T & { error?: { code: string; message: string } };
    if (status !== 200) throw new Error(`${status} ${answer.error?.code}: ${answer.error?.message}`);
    return answer;
  }

  async raw(method: string, path: string, body?: string): Promise<{ status: number; text: string }> {
    const call = request({ socketPath: this.#socket, method, path, agent: false });
    call.end(body);
    const [response] = (await once(call, "response")) as [import("node:http").IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
  }

  async denials(vm?: string): Promise<Denial[]> {
    const { text } = await this.raw("GET", `/v1/denials${vm === undefined ? "" : `?vm=${vm}`}`);
    return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Denial]));
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill(signal);
    await exit;
  }
}
