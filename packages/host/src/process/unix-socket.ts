import { once } from "node:events";
import { constants, promises as fs } from "node:fs";
import { connect, type Socket } from "node:net";

/** open(2): a descriptor that only names the file */
const pathOnly = 0o10000000; // O_PATH

/**
 * Connects to a Unix socket in a directory that a VMM may write in: a symbolic link in its place, which could lead to
 * any service of the host, is refused. The path may be longer than a socket's address.
 */
export async function connectToVmm(path: string): Promise<Socket> {
  const handle = await fs.open(path, pathOnly | constants.O_NOFOLLOW);
  try {
    if (!(await handle.stat()).isSocket()) throw new Error(`${path} is no socket`);
    const socket = connect(`/proc/self/fd/${handle.fd}`);
    await once(socket, "connect");
    socket.on("error", () => {}); // until whoever asked listens, and closed then
    return socket;
  } finally {
    await handle.close();
  }
}
