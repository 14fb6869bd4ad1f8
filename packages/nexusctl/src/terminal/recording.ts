import { promises as fs } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import type { TerminalSize } from "@workfort/client/terminal";
import { Failure } from "../failures.ts";

/** what a player's terminal begins a new screen with */
const reset = "\u001Bc";

/** What a terminal shows, as an asciicast v2 file. */
export class Recording {
  readonly #file: fs.FileHandle;
  readonly #path: string;
  readonly #decoder = new StringDecoder("utf8");
  readonly #begun = performance.now();
  #size: TerminalSize | null = null;

  private constructor(file: fs.FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  /** Makes the file; one that is there is replaced. */
  static async create(path: string): Promise<Recording> {
    try {
      return new Recording(await fs.open(path, "w", 0o600), path);
    } catch (error) {
      throw new Failure(`write ${path}`, error);
    }
  }

  async screen(size: TerminalSize): Promise<void> {
    if (this.#size === null) {
      const header = { version: 2, width: size.columns, height: size.rows, timestamp: Math.floor(Date.now() / 1000) };
      await this.#write(JSON.stringify({ ...header, env: { TERM: "xterm-256color" } }));
      this.#size = size;
      return;
    }
    await this.size(size);
    await this.#event("o", reset);
  }

  async size(size: TerminalSize): Promise<void> {
    if (size.columns === this.#size?.columns && size.rows === this.#size.rows) return;
    this.#size = size;
    await this.#event("r", `${size.columns}x${size.rows}`);
  }

  async output(bytes: Uint8Array): Promise<void> {
    const text = this.#decoder.write(Buffer.from(bytes));
    if (text !== "") await this.#event("o", text);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #event(kind: "o" | "r", data: string): Promise<void> {
    const seconds = Number(((performance.now() - this.#begun) / 1000).toFixed(6));
    await this.#write(JSON.stringify([seconds, kind, data]));
  }

  async #write(line: string): Promise<void> {
    try {
      await this.#file.appendFile(`${line}\n`);
    } catch (error) {
      throw new Failure(`write ${this.#path}`, error);
    }
  }
}
