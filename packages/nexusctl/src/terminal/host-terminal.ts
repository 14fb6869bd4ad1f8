import type { TerminalSize } from "@workfort/client/terminal";
import { UsageError } from "../failures.ts";

const { writeSync } = process.getBuiltinModule("node:fs");
const { spawnSync } = process.getBuiltinModule("node:child_process");

/** undoes what programs may have asked of a terminal: modes, margins, colours, palette, the cursor's look, mouse, paste */
const normal =
  "\u001B[?1047l\u001B[!p\u001B[0m\u001B(B\u000F\u001B[?7h\u001B[?25h\u001B[0 q\u001B[?1l\u001B>\u001B[?5l" +
  "\u001B[?9l\u001B[?1000l\u001B[?1002l\u001B[?1003l\u001B[?1004l\u001B[?1005l\u001B[?1006l\u001B[?1015l\u001B[?1016l" +
  "\u001B[?2004l\u001B[>4;0m\u001B]104\u0007\u001B]110\u0007\u001B]111\u0007\u001B]112\u0007";
const saveTitle = "\u001B[22;2t";
const restoreTitle = "\u001B[23;2t";

/**
 * The terminal that nexusctl itself runs in, while it stands for one in a guest: bytes go through it unchanged.
 * It is given back whatever ends this program, save SIGKILL.
 */
export class HostTerminal {
  readonly #input: NodeJS.ReadStream = process.stdin;
  readonly #output: NodeJS.WriteStream = process.stdout;
  readonly #giveBack = (): void => this.close();
  #open = true;

  /** Takes the terminal over; throws where there is none. */
  constructor(hint: string) {
    if (!this.#input.isTTY || !this.#output.isTTY)
      throw new UsageError("stdin and stdout must be a terminal", { hint });
    process.on("exit", this.#giveBack);
    this.#input.setRawMode(true);
    // Node's raw mode still makes CR LF of LF, which in a guest's output means to go straight down
    spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
    this.#output.write(saveTitle);
  }

  /** A terminal without a size, as some programs make them, counts as 80 by 24. */
  size(): TerminalSize {
    const { columns, rows } = this.#output;
    if (!(columns > 0) || !(rows > 0)) return { columns: 80, rows: 24 };
    return { columns: Math.min(columns, 1000), rows: Math.min(rows, 1000) };
  }

  onResize(listener: () => void): void {
    this.#output.on("resize", listener);
  }

  /** What is typed; waits while what was typed is still on its way. The input's end is `onEnd`. */
  onInput(take: (bytes: Buffer) => Promise<void>, onEnd: () => void): void {
    this.#input.on("data", (bytes: Buffer) => {
      this.#input.pause();
      void take(bytes).finally(() => {
        if (this.#open) this.#input.resume();
      });
    });
    this.#input.once("end", onEnd);
    this.#input.once("error", onEnd);
  }

  /** What makes a screen blank and normal; what stands on it moves out of sight and stays in the scrollback. */
  blank(title: string): string {
    const away = "\r\n".repeat(this.size().rows);
    return `${normal}${away}\u001B[H\u001B[2J${this.titled(title)}`;
  }

  /** What gives its window a title. */
  titled(title: string): string {
    return `\u001B]2;${title}\u0007`;
  }

  /** Gives the terminal back; whatever is printed after it stands on a line of its own. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.off("exit", this.#giveBack);
    this.#output.removeAllListeners("resize");
    this.#input.removeAllListeners("data");
    try {
      this.#input.setRawMode(false);
      writeSync(1, `${normal}${restoreTitle}\r\n`);
    } catch {
      // the terminal has gone
    }
    this.#input.destroy();
  }
}
