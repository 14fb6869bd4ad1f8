import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Joins two streams: what one says the other hears, as fast as it listens, and each direction ends by itself. Where one
 * breaks off, the other is told so by a reset: an end would make a part look like the whole.
 */
export function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.on("error", () => breakOff(to));
    from.once("close", () => {
      if (!from.readableEnded) breakOff(to);
    });
  }
}

export function breakOff(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket) stream.resetAndDestroy();
  else stream.destroy(new Error("the other side broke off"));
}
