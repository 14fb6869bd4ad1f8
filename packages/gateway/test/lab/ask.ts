import type { Namespace } from "./namespace.ts";

/** What guests do, and what answers them. */

/** Servers of TCP that say who they are and who has come, then echo; of UDP that echo. */
export async function serveEcho(inside: Namespace, places: { address: string; port: number }[]): Promise<void> {
  await inside.run(async ({ net, dgram, kept }, places) => {
    for (const { address, port } of places) {
      const server = net.createServer({ allowHalfOpen: true }, (socket) => {
        socket.on("error", () => {});
        socket.write(`${address}:${port} to ${socket.remoteAddress}\n`);
        socket.pipe(socket);
      });
      await new Promise<void>((resolve, reject) => {
        server.on("error", reject);
        server.listen(port, address, resolve);
      });
      const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
      socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
      await new Promise<void>((resolve) => socket.bind(port, address, resolve));
      kept.set(`${address} ${port}`, { server, socket });
    }
  }, places);
}

/** The first bytes of a connection after `send`, or the code of the error. */
export async function tcp(
  inside: Namespace,
  target: { address: string; port: number; send?: string },
): Promise<string> {
  return await inside.run(async ({ net }, { address, port, send }) => {
    const socket = net.connect({ host: address, port });
    return await new Promise<string>((resolve) => {
      const timer = setTimeout(() => (resolve("TIMEOUT"), socket.destroy()), 5000);
      socket.on("connect", () => send !== undefined && socket.write(send));
      socket.on("data", (chunk: Buffer) => {
        clearTimeout(timer);
        resolve(chunk.toString("latin1"));
        socket.destroy();
      });
      socket.on("error", (error: NodeJS.ErrnoException) => (clearTimeout(timer), resolve(error.code ?? "")));
      socket.on("close", () => (clearTimeout(timer), resolve("CLOSED")));
    });
  }, target);
}

/** What comes back to a datagram, or the code of the error. */
export async function udp(inside: Namespace, target: { address: string; port: number; send: string }): Promise<string> {
  return await inside.run(async ({ dgram }, { address, port, send }) => {
    const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
    const answer = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve("TIMEOUT"), 3000);
      socket.on("message", (bytes) => (clearTimeout(timer), resolve(bytes.toString("latin1"))));
      socket.on("error", (error: NodeJS.ErrnoException) => (clearTimeout(timer), resolve(error.code ?? "")));
      socket.connect(port, address, () => socket.send(send));
    });
    socket.close();
    return answer;
  }, target);
}
