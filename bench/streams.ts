import { runProcess } from "@workfort/client";
import { withDaemon } from "@workfort/testing";
import type { Figure } from "./figures.ts";

/** Fifty commands that print without end, followed at once: what each would get, beside what the slowest gets. */
const streams = 50;
/** what is measured of it, bytes of all together */
const measuredBytes = 512 * 1024 ** 2;

export async function measure(): Promise<Figure[]> {
  const counts = Array.from({ length: streams }, () => 0);
  await withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    await daemon.client.call("vm.start", { params: { vm: "dev" }, body: {} });
    const leaving = new AbortController();
    const enough = Promise.withResolvers<void>();
    const waiting = new Set(counts.keys());
    let total = 0;
    const follow = async (index: number): Promise<unknown> =>
      await runProcess(
        daemon.client,
        "dev",
        { argv: ["cat", "/dev/zero"] },
        {
          onStdout: ({ length }) => {
            waiting.delete(index);
            if (waiting.size > 0) return; // not all have begun
            counts[index] = (counts[index] ?? 0) + length;
            total += length;
            if (total >= measuredBytes) enough.resolve();
          },
          signal: leaving.signal,
        },
      );
    const all = Promise.allSettled(counts.map((_, index) => follow(index)));
    await enough.promise;
    leaving.abort();
    await all;
  });
  const mebibytes = counts.map((count) => count / 1024 ** 2);
  const fairShare = mebibytes.reduce((sum, count) => sum + count, 0) / streams;
  const name = `fair share of ${streams} streams, beside the slowest`;
  // the slowest gets half of it at least
  return [{ name, unit: "MiB", value: fairShare, baseline: Math.min(...mebibytes), bound: 2, rounds: 1 }];
}
