import { AttachedTerminal, type TerminalOptions } from "@workfort/client/terminal";
import type { Terminal } from "@workfort/contract";
import type { Cli } from "../cli.ts";
import { signalNumber } from "../exec/signals.ts";
import { doing } from "../failures.ts";
import { printable } from "../format/colour.ts";
import { DetachKeys } from "./detach-keys.ts";
import { HostTerminal } from "./host-terminal.ts";
import type { Recording } from "./recording.ts";

const interrupt = 0x03;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface Attachment {
  vm: string;
  terminal: string;
  create: TerminalOptions["create"];
  readOnly: boolean;
  /** who else is at it only looks on from now on */
  takeOver: boolean;
  /** null: only its end ends the view */
  detachKeys: { bytes: Buffer; text: string } | null;
  recording: Recording | null;
  /** what to type where there is no terminal */
  withoutTerminal: string;
}

/** How a view ended: with the terminal, by the detach keys, or by a signal to this program. */
export type Outcome = { terminal: Terminal } | { detached: true } | { signal: string };

/** why a view is left */
class Leaving extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super("the view is left");
    this.outcome = outcome;
  }
}

/** Lets this program's terminal stand for one in a VM, until that ends or the user has had enough. */
export async function attach(cli: Cli, wanted: Attachment): Promise<Outcome> {
  const host = new HostTerminal(wanted.withoutTerminal);
  const leaving = new AbortController();
  const leave = (outcome: Outcome): void => leaving.abort(new Leaving(outcome));
  const onSignal = (signal: (typeof signals)[number]): void => leave({ signal: signal.slice(3) });
  for (const signal of signals) process.once(signal, onSignal);
  const terminal = new AttachedTerminal(cli.client, viewOf(cli, wanted, host, leaving.signal));
  host.onResize(() => {
    if (!wanted.readOnly) terminal.resize(host.size());
  });
  const typing = new Typing(wanted, terminal, () => leave({ detached: true }));
  host.onInput(
    (bytes) => typing.take(bytes),
    () => leave({ signal: "HUP" }),
  );
  try {
    return {
      terminal: await doing(`show terminal ${wanted.terminal} of VM "${wanted.vm}"`, () => terminal.toEnd()),
    };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : null;
    if (cause instanceof Leaving) return cause.outcome;
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    host.close();
    await wanted.recording?.close();
  }
}

function viewOf(cli: Cli, wanted: Attachment, host: HostTerminal, signal: AbortSignal): TerminalOptions {
  const { vm, terminal, create, readOnly, takeOver, recording, detachKeys } = wanted;
  const detaches = detachKeys === null ? "" : ` (${detachKeys.text} detaches)`;
  let title = `${vm}: ${terminal}${detaches}`;
  if (detachKeys !== null) cli.err.write(`${printable(title)}\r\n`);
  let broken = false;
  return {
    vm,
    terminal,
    create,
    readOnly,
    takeOver,
    signal,
    size: () => host.size(),
    onScreen: async (size) => {
      broken = false;
      await cli.out.pour(Buffer.from(host.blank(printable(title))));
      await recording?.screen(size);
    },
    onOutput: async (bytes) => {
      await cli.out.pour(bytes);
      await recording?.output(bytes);
    },
    onSize: async (size) => await recording?.size(size),
    onTaken: async () => {
      title = `${vm}: ${terminal}, taken over by another viewer${detaches}`;
      await cli.out.pour(Buffer.from(host.titled(printable(title))));
    },
    onBreak: () => {
      if (!broken) cli.err.write("\r\nnexusctl: the line broke; connecting again (Ctrl-C gives up)\r\n");
      broken = true;
    },
  };
}

/** What the user types, on its way to the guest. */
class Typing {
  readonly #wanted: Attachment;
  readonly #terminal: AttachedTerminal;
  readonly #detachKeys: DetachKeys | null;
  readonly #detach: () => void;

  constructor(wanted: Attachment, terminal: AttachedTerminal, detach: () => void) {
    this.#wanted = wanted;
    this.#terminal = terminal;
    this.#detach = detach;
    this.#detachKeys = wanted.detachKeys === null ? null : new DetachKeys(wanted.detachKeys.bytes);
  }

  async take(typed: Buffer): Promise<void> {
    const bytes = this.#detachKeys === null ? typed : this.#detachKeys.take(typed);
    if (bytes === null) this.#detach();
    else if (this.#wanted.readOnly || !(await this.#terminal.type(bytes))) {
      // a guest that gets nothing typed cannot be interrupted either
      if (bytes.includes(interrupt)) this.#detach();
    }
  }
}

/** The exit code that says how a terminal ended. */
export function exitCodeOf(outcome: Outcome): number {
  if ("detached" in outcome) return 0;
  if ("signal" in outcome) return 128 + signalNumber(outcome.signal);
  return outcome.terminal.exitCode ?? 128 + signalNumber(outcome.terminal.signal);
}
