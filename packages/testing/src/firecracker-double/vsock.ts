import { createServer, type Server, type Socket } from "node:net";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";

/** the only port with a listener in our guests (codex/reference/guest-protocol.md) */
const agentPort = 7300;
const firstHostPort = 1_073_741_824;
/** the shortest and the longest line that Firecracker reads */
const [shortest, longest] = [10, 32];

/**
 * The host's end of a vsock: `CONNECT <port>` in one write is answered by `OK <host port>`.
 *
 * There is no vsock device under software emulation, so a connection is bridged to the agent's virtio-serial port.
 * That has one opener: a second connection while one is open is refused, as a port without a listener is.
 */
export function serveVsock(path: string, agentSocket: () => string | null): Server {
  let hostPort = firstHostPort;
  let busy = false;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (line) => {
      const port = /^CONNECT (\d+)\n$/i.exec(line.toString("latin1"))?.[1];
      if (line.length < shortest || line.length > longest || Number(port) !== agentPort || busy) {
        socket.destroy();
        return;
      }
      busy = true;
      socket.once("close", () => (busy = false));
      void bridge(socket, agentSocket, () => `OK ${hostPort++}\n`);
    });
  });
  server.listen(path);
  return server;
}

/** Until the guest is up nothing is answered. */
async function bridge(socket: Socket, agentSocket: () => string | null, greeting: () => string): Promise<void> {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  const path = agentSocket();
  if (path === null) return; // before the boot: it hangs
  try {
    const channel = await openChannel(path, gone.signal);
    channel.once("close", () => socket.destroy());
    socket.once("close", () => channel.destroy());
    socket.write(greeting());
    socket.pipe(channel);
    channel.pipe(socket);
  } catch {
    socket.destroy();
  }
}
