/**
 * Reads ahead of its consumer and gives what has arrived as one piece, so that a slow round trip carries much
 * and a single line goes out at once. Holds at most `maxBytes` and one chunk. Ends when the signal is aborted.
 */
export async function* gather(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let held: Uint8Array[] = [];
  let size = 0;
  let changed = Promise.withResolvers<void>();
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };
  let ended = signal.aborted;
  signal.addEventListener("abort", () => {
    ended = true;
    change();
  });
  let failure: { error: unknown } | null = null;

  const iterator = source[Symbol.asyncIterator]();
  const reading = (async () => {
    for (let next = await iterator.next(); !ended && !next.done; next = await iterator.next()) {
      held.push(next.value);
      size += next.value.length;
      change();
      while (size >= maxBytes && !ended) await changed.promise;
    }
  })()
    .catch((error: unknown) => (failure = { error }))
    .finally(() => {
      ended = true;
      change();
    });

  try {
    for (;;) {
      while (size === 0 && !ended) await changed.promise;
      if (size === 0) break;
      const piece = Buffer.concat(held);
      held = [];
      size = 0;
      change();
      yield piece;
    }
    if (signal.aborted) return;
    await reading;
    if (failure !== null) throw (failure as { error: unknown }).error;
  } finally {
    ended = true;
    change();
    iterator.return?.().catch(() => {});
  }
}
