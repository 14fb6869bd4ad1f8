import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

/**
 * QEMU's machine protocol, as far as a boot needs it: the greeting says that the machine has been set up.
 * https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
export async function awaitGreeting(path: string, timeoutMs: number, signal: AbortSignal): Promise<string> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const socket = await connectOnceThere(path, deadline);
  try {
    const lines = createInterface({ input: socket });
    const stop = (): void => void socket.destroy();
    deadline.addEventListener("abort", stop, { once: true });
    for await (const line of lines) {
      const greeting = JSON.parse(line) as {
        QMP?: { version?: { qemu?: { major: number; minor: number; micro: number } } };
      };
      const version = greeting.QMP?.version?.qemu;
      if (version !== undefined) return `${version.major}.${version.minor}.${version.micro}`;
    }
    throw new Error(
      deadline.aborted ? `QEMU has not greeted within ${timeoutMs} ms` : "QEMU closed its socket without a greeting",
    );
  } finally {
    socket.destroy();
  }
}

/** The socket appears when QEMU has made it; there is no event for that, so it is tried every 2 ms. */
async function connectOnceThere(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<Socket | null>();
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(null));
    const connected = await promise;
    if (connected !== null) return connected;
    await new Promise((again) => setTimeout(again, 2));
  }
}
