import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { LoggerConfig } from "./bodies.ts";

type LogLevel = "Error" | "Warn" | "Info";
/** the threads of Firecracker, and where in it they are at home */
type LogThread = "main" | "fc_api" | "fc_vcpu 0";

const ranks: Record<string, number> = { off: 0, error: 1, warn: 2, warning: 2, info: 3, debug: 4, trace: 5 };
const modules: Record<LogThread, string> = {
  main: "firecracker",
  fc_api: "firecracker::api_server",
  "fc_vcpu 0": "vmm::vstate::vcpu",
};

/**
 * Firecracker's log: to the standard output until a path is set. What cannot be written at once is lost and counted.
 * The origin it shows is the double's, which has no lines of Rust.
 */
export class Log {
  readonly #id: string;
  #file = 1;
  #level = "info";
  #module = "";
  #showLevel = false;
  #showOrigin = false;
  missed = 0;

  constructor(id: string) {
    this.#id = id;
  }

  /** What is null stays as it is; throws where the path cannot be opened. */
  configure(config: LoggerConfig): void {
    if (config.log_path !== null) {
      const file = openForLines(config.log_path);
      if (this.#file !== 1) closeSync(this.#file);
      this.#file = file;
    }
    if (config.level !== null) this.#level = config.level.toLowerCase();
    if (config.module !== null) this.#module = config.module;
    if (config.show_level !== null) this.#showLevel = config.show_level;
    if (config.show_log_origin !== null) this.#showOrigin = config.show_log_origin;
  }

  error(thread: LogThread, message: string): void {
    this.#write("Error", thread, message);
  }

  warn(thread: LogThread, message: string): void {
    this.#write("Warn", thread, message);
  }

  info(thread: LogThread, message: string): void {
    this.#write("Info", thread, message);
  }

  #write(level: LogLevel, thread: LogThread, message: string): void {
    if ((ranks[level.toLowerCase()] ?? 0) > (ranks[this.#level] ?? 0)) return;
    if (!modules[thread].startsWith(this.#module)) return;
    const where = [
      `${this.#id}:${thread}`,
      ...(this.#showLevel ? [level.toUpperCase()] : []),
      ...(this.#showOrigin ? ["firecracker-double:1"] : []),
    ].join(":");
    try {
      writeSync(this.#file, `${localTime()} [${where}] ${message}\n`);
    } catch {
      this.missed += 1;
    }
  }
}

/** As logs and metrics are opened: neither emptied nor appended to. */
export function openForLines(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_CREAT, 0o644);
}

/** local time with nine digits, of which the last six are made up */
function localTime(): string {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, -1);
  return `${local}${String(process.hrtime.bigint() % 1_000_000n).padStart(6, "0")}`;
}
