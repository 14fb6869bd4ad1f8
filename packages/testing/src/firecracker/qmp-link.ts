import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";

/** QEMU's machine protocol over one lasting stream, so that its events are seen too. */
export class QmpLink {
  readonly #stream: Duplex;
  readonly #waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  /** why QEMU says that it ends: `guest-reset`, `guest-shutdown`, …; null while it has not */
  shutdownReason: string | null = null;

  constructor(stream: Duplex) {
    this.#stream = stream.on("error", () => {});
    createInterface({ input: stream })
      .on("line", (line) => this.#read(line))
      .on("error", () => {});
    stream.on("close", () => {
      for (const command of this.#waiting.splice(0)) command.reject(new Error("QEMU has ended"));
    });
  }

  /** Resolves when QEMU has set up its machine. */
  async ready(): Promise<void> {
    await this.command("qmp_capabilities");
  }

  /** Commands are answered in order; QEMU takes them before it has greeted. */
  async command(execute: string, args: Record<string, unknown> = {}): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#stream.destroyed) throw new Error("QEMU has ended");
    this.#waiting.push({ resolve, reject });
    this.#stream.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    return await promise;
  }

  #read(line: string): void {
    const message = JSON.parse(line) as {
      event?: string;
      data?: { reason?: string };
      return?: unknown;
      error?: { desc?: string };
    };
    if (message.event === "SHUTDOWN") this.shutdownReason = message.data?.reason ?? "";
    if (message.error !== undefined) this.#waiting.shift()?.reject(new Error(message.error.desc ?? line));
    else if (message.return !== undefined) this.#waiting.shift()?.resolve(message.return);
  }
}
