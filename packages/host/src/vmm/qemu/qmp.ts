import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { connectToVmm } from "../../process/unix-socket.ts";

/**
 * QEMU's machine protocol, as far as a boot and a pause need it. QEMU serves one connection at a time.
 * https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
const commandBoundMs = 10_000;

interface Message {
  QMP?: unknown;
  return?: { status?: string };
  error?: { desc?: string };
}

/** Resolves when QEMU has greeted, which says that the machine has been set up. */
export async function awaitGreeting(path: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  await talk(path, [], AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
}

/** Runs one command without arguments and gives what it returns; rejects with QEMU's own words. */
export async function runQmp(path: string, command: "stop" | "cont" | "query-status"): Promise<{ status?: string }> {
  return await talk(path, ["qmp_capabilities", command], AbortSignal.timeout(commandBoundMs));
}

/** Reads the greeting, then gives the commands one after the other; resolves with the last answer. */
async function talk(path: string, commands: readonly string[], deadline: AbortSignal): Promise<{ status?: string }> {
  const socket = await connectOnceThere(path, deadline);
  const stop = (): void => void socket.destroy();
  deadline.addEventListener("abort", stop, { once: true });
  const waiting = [...commands];
  try {
    for await (const line of createInterface({ input: socket })) {
      const message = JSON.parse(line) as Message;
      if (message.error !== undefined) throw new Error(`QEMU refused: ${message.error.desc ?? line}`);
      if (message.QMP === undefined && message.return === undefined) continue; // an event
      const next = waiting.shift();
      if (next === undefined) return message.return ?? {};
      socket.write(`${JSON.stringify({ execute: next })}\n`);
    }
    throw new Error(deadline.aborted ? "QEMU has not answered in time" : "QEMU closed its socket without an answer");
  } finally {
    deadline.removeEventListener("abort", stop);
    socket.destroy();
  }
}

/** The socket appears when QEMU has made it; there is no event for that, so it is tried every 2 ms. */
async function connectOnceThere(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    signal.throwIfAborted();
    const connected = await connectToVmm(path).catch(() => null);
    if (connected !== null) return connected;
    await new Promise((again) => setTimeout(again, 2));
  }
}
