import { once } from "node:events";
import type { Socket } from "node:net";

/** of a connection on which nothing passes, ms: longer than the pauses of what people leave open */
const idleMs = 2 * 3600 * 1000;

/** Joins two connections until both are closed: bytes, their ends in each direction, and the speed of the slower. */
export async function splice(one: Socket, other: Socket): Promise<void> {
  const closed = [one, other].map(async (socket) =>
    socket.destroyed ? null : await once(socket, "close").catch(() => null),
  );
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroySoon()); // what is still to be written to it goes out
    from.setTimeout(idleMs, () => from.destroy());
    from.pipe(to);
  }
  if (one.destroyed) other.destroy();
  if (other.destroyed) one.destroy();
  await Promise.all(closed);
}
