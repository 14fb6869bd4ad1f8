import type { Socket } from "node:net";
import { connectToVmm } from "../../process/unix-socket.ts";

/**
 * QEMU's machine protocol, as far as a boot and a pause need it. QEMU serves one connection at a time.
 * https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
const commandBoundMs = 10_000;
/** of all that QEMU may say in one connection; a guest may have taken it over */
const saidBytes = 1024 * 1024;

interface Message {
  QMP?: unknown;
  return?: unknown;
  error?: { desc?: string };
}

/** Resolves when QEMU has greeted, which says that the machine has been set up. */
export async function awaitGreeting(path: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  await talk(path, [], AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
}

interface Command {
  execute: string;
  arguments?: unknown;
}

/** Runs one command and gives what it returns; rejects with QEMU's own words. */
export async function runQmp(
  path: string,
  command: "stop" | "cont" | "query-status" | "query-blockstats" | "send-key",
  args: Record<string, unknown> = {},
  signal?: AbortSignal,
): Promise<unknown> {
  const bound = AbortSignal.timeout(commandBoundMs);
  const commands = [{ execute: "qmp_capabilities" }, { execute: command, arguments: args }];
  return await talk(path, commands, signal === undefined ? bound : AbortSignal.any([bound, signal]));
}

/** Reads the greeting, then gives the commands one after the other; resolves with the last answer. */
async function talk(path: string, commands: readonly Command[], deadline: AbortSignal): Promise<unknown> {
  const socket = await connectOnceThere(path, deadline);
  const stop = (): void => void socket.destroy();
  deadline.addEventListener("abort", stop, { once: true });
  const waiting = [...commands];
  try {
    for await (const line of linesOf(socket)) {
      const message = JSON.parse(line) as Message;
      if (message.error !== undefined) throw new Error(`QEMU refused: ${message.error.desc ?? line}`);
      if (message.QMP === undefined && message.return === undefined) continue; // an event
      const next = waiting.shift();
      if (next === undefined) return message.return;
      socket.write(`${JSON.stringify(next)}\n`);
    }
    throw new Error("QEMU closed its socket without an answer");
  } catch (error) {
    throw deadline.aborted ? new Error("QEMU has not answered in time", { cause: error }) : error;
  } finally {
    deadline.removeEventListener("abort", stop);
    socket.destroy();
  }
}

/** Throws where the socket is destroyed meanwhile, and where it says too much. */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let [rest, said] = ["", 0];
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    said += chunk.length;
    if (said > saidBytes) throw new Error(`QEMU has said more than ${saidBytes} bytes`);
    const lines = (rest + chunk.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line.trim() !== "");
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
