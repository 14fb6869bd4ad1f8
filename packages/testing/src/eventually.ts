/** Asks again every few ms until the answer is true; fails with the last answer after `boundMs`. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  is: (answer: T) => boolean,
  boundMs = 120_000, // only a failure waits so long; a VM within a VM is slow
): Promise<T> {
  const deadline = performance.now() + boundMs;
  for (;;) {
    const answer = await ask();
    if (is(answer)) return answer;
    if (performance.now() > deadline)
      throw new Error(`it has not come to pass within ${boundMs} ms; last seen: ${JSON.stringify(answer)}`);
    await new Promise((again) => setTimeout(again, 5));
  }
}
