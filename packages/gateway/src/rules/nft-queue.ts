import { runTool } from "@workfort/host/process/run.ts";

/** of one run of nft; a state of hundreds of guests takes well under a second */
const timeoutMs = 30_000;

interface Waiting {
  text: string;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Transactions of nft, one after the other. What comes while one runs goes together into the next one; where that is
 * refused, each part is tried by itself, so that a bad one harms nobody else.
 */
export class NftQueue {
  #waiting: Waiting[] = [];
  #running = false;

  /** Resolves once the kernel has it. */
  submit(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ text, resolve, reject });
    if (!this.#running) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const failure = await commit(batch.map(({ text }) => text).join("\n"));
      if (failure === null) batch.forEach(({ resolve }) => resolve());
      else if (batch.length === 1) batch[0]?.reject(failure);
      else {
        for (const { text, resolve, reject } of batch) {
          const own = await commit(text);
          if (own === null) resolve();
          else reject(own);
        }
      }
    }
    this.#running = false;
  }
}

async function commit(text: string): Promise<Error | null> {
  try {
    await runTool(["nft", "-f", "-"], { input: `${text}\n`, timeoutMs });
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
