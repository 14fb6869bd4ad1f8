import type { Denial } from "@workfort/contract";
import { parseJson } from "./answer.ts";
import type { Client } from "./client.ts";
import { DaemonUnreachable } from "./errors.ts";
import { linesOf } from "./lines.ts";
import { Backoff, retryDelaysMs } from "./retry.ts";

export interface DenialOptions {
  /** only of the VM of this name or id */
  vm?: string | undefined;
  /** number of the denial to go on behind; without, from the oldest that is held */
  after?: number | undefined;
  /** whether to go on with what comes, until the signal fires or the iteration is ended */
  follow?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** waits between tries to connect again, in `ms` */
  retryDelaysMs?: readonly number[] | undefined;
}

/**
 * What guests were denied, oldest first. Who follows does so over restarts of the daemon: where the line breaks, this
 * connects again behind the last number, and nothing is told twice or left out.
 *
 * Fails as `client.bytes` does when the daemon cannot be reached at first, or does not come back.
 */
export async function* readDenials(client: Client, options: DenialOptions = {}): AsyncGenerator<Denial> {
  const { vm, follow = false, signal = new AbortController().signal } = options;
  const backoff = new Backoff(options.retryDelaysMs ?? retryDelaysMs);
  let after = options.after;
  for (let wasOpen = false; ;) {
    try {
      const query = { vm, after: after?.toString(), follow: follow ? "true" : "false" } as const;
      const { body } = await client.bytes("network.log", { query }, { signal });
      wasOpen = true;
      backoff.reset();
      for await (const line of linesOf(body)) {
        const denial = parseJson(line) as Denial; // the daemon has checked it
        after = denial.number;
        yield denial;
      }
      if (!follow) return;
      throw new DaemonUnreachable(client.address, "lost");
    } catch (error) {
      if (signal.aborted) return;
      if (!follow || !wasOpen) throw error;
      await backoff.afterFailure(error, signal);
    }
  }
}
