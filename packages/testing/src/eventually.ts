/** between two questions, ms */
const shortestPauseMs = 5;
const longestPauseMs = 1000;

/**
 * Asks again until the answer is true; fails with the last answer after `boundMs`. It pauses for four times as long as
 * the question took, so that where there is one slow processor the asked one has the most of it.
 */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  is: (answer: T) => boolean,
  boundMs = 120_000, // only a failure waits so long; a VM within a VM is slow
): Promise<T> {
  const deadline = performance.now() + boundMs;
  for (;;) {
    const asked = performance.now();
    const answer = await ask();
    if (is(answer)) return answer;
    if (performance.now() > deadline)
      throw new Error(`it has not come to pass within ${boundMs} ms; last seen: ${JSON.stringify(answer)}`);
    const pauseMs = Math.min(Math.max(shortestPauseMs, 4 * (performance.now() - asked)), longestPauseMs);
    await new Promise((again) => setTimeout(again, pauseMs));
  }
}
