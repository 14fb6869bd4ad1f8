import type { CreateTerminal, Terminal } from "@workfort/contract";
import { WorkfortError } from "@workfort/contract/errors";
import { fillPath } from "./address.ts";
import type { Client } from "./client.ts";
import { Backoff, retryDelaysMs } from "./retry.ts";
import { TerminalConnection, type TerminalListener, type TerminalSize } from "./terminal-connection.ts";

export type { TerminalSize } from "./terminal-connection.ts";

const protocol = "workfort.terminal";
/** of what is typed before there is a terminal; a piece is what a terminal gives at a time, at most 64 KiB */
const maxEarlyPieces = 64;

export interface TerminalOptions extends TerminalListener {
  vm: string;
  terminal: string;
  /** what it is made with where it is not there; null: it has to be there */
  create: Omit<Partial<CreateTerminal>, "id" | "columns" | "rows"> | null;
  /** the viewer's own size, which the terminal takes; null leaves it as it is */
  size: () => TerminalSize | null;
  readOnly?: boolean | undefined;
  /** type alone: who else is at it only looks on from now on */
  takeOver?: boolean | undefined;
  /** the line broke and is made again; the screen comes anew */
  onBreak?: ((error: unknown) => void) | undefined;
  /** ends the view, not the terminal */
  signal?: AbortSignal | undefined;
  /** waits between tries to connect again, in `ms` */
  retryDelaysMs?: readonly number[] | undefined;
}

/**
 * A view of a terminal in a VM, kept up over breaks of the line. What is typed while the line is down is lost, and
 * what was on its way when it broke may be; nothing is typed twice.
 */
export class AttachedTerminal {
  readonly #client: Client;
  readonly #options: TerminalOptions;
  #connection: TerminalConnection | null = null;
  /** typed before the terminal was shown for the first time; null since then */
  #early: Uint8Array[] | null = [];
  /** what it has become since it was asked for: over breaks of the line, too */
  #taken = false;

  constructor(client: Client, options: TerminalOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Until the terminal has ended; gives it as it ended. */
  async toEnd(): Promise<Terminal> {
    const { onBreak, retryDelaysMs: delays = retryDelaysMs, signal = new AbortController().signal } = this.#options;
    const backoff = new Backoff(delays);
    const stop = (): void => this.#connection?.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      for (let shown = false; ;) {
        try {
          return await this.#connect(() => {
            backoff.reset();
            shown = true;
          });
        } catch (error) {
          signal.throwIfAborted();
          if (isMissing(error) && !shown && this.#options.create !== null) {
            await this.#create();
            continue;
          }
          await backoff.afterFailure(error, signal);
          onBreak?.(error);
        }
      }
    } finally {
      signal.removeEventListener("abort", stop);
      this.#connection?.close();
    }
  }

  /** Types bytes in; false where the line is down, or another viewer has the terminal. What is typed before there was one goes in when there is. */
  async type(bytes: Uint8Array): Promise<boolean> {
    if (this.#early !== null) return this.#early.push(bytes) <= maxEarlyPieces;
    return !this.#taken && ((await this.#connection?.type(bytes)) ?? false);
  }

  resize(size: TerminalSize): void {
    if (!this.#taken) this.#connection?.resize(size);
  }

  async #connect(onShown: () => void): Promise<Terminal> {
    const { vm, terminal, size, onTaken } = this.#options;
    const readOnly = this.#taken || (this.#options.readOnly ?? false);
    const takeOver = this.#options.takeOver === true && this.#early !== null;
    const own = readOnly ? null : size();
    const query = {
      ...(own === null ? {} : { columns: String(own.columns), rows: String(own.rows) }),
      ...(readOnly ? { readOnly: "true" } : {}),
      ...(takeOver ? { takeOver: "true" } : {}),
    };
    const path = fillPath("/v1/vms/{vm}/terminals/{terminal}", { vm, terminal }, query);
    const socket = await this.#client.webSocket(path, protocol);
    const connection = new TerminalConnection(socket, this.#client.address, {
      ...this.#options,
      onScreen: async (screen) => {
        onShown();
        await this.#typeEarly();
        await this.#options.onScreen(screen);
      },
      onTaken: async () => {
        this.#taken = true;
        await onTaken?.();
      },
    });
    this.#connection = connection;
    return await connection.ended;
  }

  async #typeEarly(): Promise<void> {
    const early = this.#early ?? [];
    this.#early = null;
    for (const bytes of early.slice(0, maxEarlyPieces)) await this.type(bytes);
  }

  /** Makes the terminal. */
  async #create(): Promise<void> {
    const { vm, terminal, create, size, signal } = this.#options;
    try {
      const body = { ...create, ...size(), id: terminal };
      await this.#client.call("vm.terminal.create", { params: { vm }, body }, { signal });
    } catch (error) {
      // made by somebody else meanwhile, or by a try whose answer was lost
      if (!(error instanceof WorkfortError && error.code === "guest_conflict")) throw error;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof WorkfortError && error.code === "not_found";
}
