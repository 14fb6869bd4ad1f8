import type { Problem } from "./problem.ts";
import type { Terminal } from "./terminal.ts";

/**
 * What the daemon says on a terminal's WebSocket, as text; what the terminal shows is binary.
 * - `screen`: reset to this size; the bytes that follow draw scrollback, screen, modes and cursor
 * - `size`: the terminal has another size from here on
 * - `taken`: another viewer took the terminal over, and this one only looks on from here on
 * - `ended`: its process has ended; the last message
 * - `error`: with `fatal` the last message
 */
export type TerminalMessage =
  | { type: "screen" | "size"; columns: number; rows: number }
  | { type: "taken" }
  | { type: "ended"; terminal: Terminal }
  | { type: "error"; fatal: boolean; problem: Problem };
