type Send = (signal: string) => Promise<void>;

const passedOn = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** how long a last signal may take, in `ms` */
const lastMs = 2000;

/**
 * Signals of this program, passed on to the process in the guest. The first goes as it is; the second one kills
 * the process and ends this program.
 */
export class Signals {
  readonly #send: Send;
  readonly #listeners = passedOn.map((name) => [name, () => this.#take(name)] as const);
  readonly #started = Promise.withResolvers<void>();
  #count = 0;

  constructor(send: Send) {
    this.#send = send;
    for (const [name, listener] of this.#listeners) process.on(name, listener);
  }

  /** the process exists and can be signalled */
  ready(): void {
    this.#started.resolve();
  }

  /** Sends a last signal; settles in bounded time, whatever becomes of it. */
  async end(signal: string): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, lastMs);
    await Promise.race([this.#send(signal).catch(() => {}), late]);
    clearTimeout(timer);
  }

  close(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }

  #take(name: (typeof passedOn)[number]): void {
    this.#count += 1;
    if (this.#count > 1) {
      void this.end("KILL").then(() => process.exit(128 + signalNumber(name.slice(3))));
      return;
    }
    // a process that ends at the same moment has no need of it
    void this.#started.promise.then(() => this.#send(name.slice(3))).catch(() => {});
  }
}

/** The number of a signal by its name without SIG, of Linux; 0 where it is unknown. */
export function signalNumber(name: string | null): number {
  if (name === null) return 0;
  const realTime = /^RTMIN(?:\+(\d+))?$/.exec(name);
  if (realTime !== null) return 34 + Number(realTime[1] ?? 0);
  const numbers: Readonly<Record<string, number>> = process.getBuiltinModule("node:os").constants.signals;
  return numbers[`SIG${name}`] ?? 0;
}
