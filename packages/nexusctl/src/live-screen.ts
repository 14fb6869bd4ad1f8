import { setTimeout as delay } from "node:timers/promises";
import type { Cli } from "./cli.ts";

/** another screen, without a cursor; and back */
const enter = "\x1b[?1049h\x1b[?25l";
const leave = "\x1b[?25h\x1b[?1049l";
const home = "\x1b[H";
const eraseBelow = "\x1b[J";
const eraseRight = "\x1b[K";

/** q, Q, Ctrl-C and Ctrl-D, which a raw terminal makes no signals of */
const endingBytes: readonly number[] = [0x71, 0x51, 0x03, 0x04];

/** Shows a text again and again on a screen of its own, until q or Ctrl-C. */
export async function showAgain(
  cli: Cli,
  intervalMs: number,
  render: (size: { lines: number; columns: number }) => Promise<string>,
): Promise<void> {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  const onKey = (bytes: Buffer): void => {
    if (bytes.some((byte) => endingBytes.includes(byte))) end();
  };
  const { stdin } = process;
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    stdin.on("data", onKey);
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
  cli.out.write(enter);
  try {
    while (!ending.signal.aborted) {
      const { rows, columns } = cli.out.stream;
      const text = await render({ lines: rows || 24, columns: columns || 80 }); // some terminals say 0
      cli.out.write(`${home}${text.replaceAll("\n", `${eraseRight}\r\n`)}${eraseBelow}`);
      await delay(intervalMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  } finally {
    cli.out.write(leave);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, end);
    if (stdin.isTTY) {
      stdin.off("data", onKey);
      stdin.setRawMode(false);
      stdin.pause();
    }
  }
}
