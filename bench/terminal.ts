import { AttachedTerminal } from "@workfort/client";
import { withDaemon } from "@workfort/testing";
import { paired, percentile95, timed, type Figure } from "./figures.ts";

/** A character typed at a terminal until a program's answer is shown, beside an empty request by the same way. */
export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  await withDaemon({}, async (daemon) => {
    await daemon.importBase();
    const params = { vm: "dev" };
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    await daemon.client.call("vm.start", { params, body: {} });
    const argv = ["sh", "-c", "stty raw -echo; echo ready; exec cat"];
    await daemon.client.call("vm.terminal.create", { params, body: { id: "bench", argv } });

    let shown = "";
    let onShown = (): void => {};
    const leaving = new AbortController();
    const terminal = new AttachedTerminal(daemon.client, {
      vm: "dev",
      terminal: "bench",
      create: null,
      size: () => null,
      onScreen: () => {},
      onSize: () => {},
      onOutput: (bytes) => {
        shown += Buffer.from(bytes).toString();
        onShown();
      },
      signal: leaving.signal,
    });
    const ended = terminal.toEnd().catch(() => {});
    const until = async (text: string): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      onShown = () => {
        if (shown.includes(text)) resolve();
      };
      onShown();
      await promise;
      shown = "";
    };
    await until("ready");
    const echo = (): Promise<number> =>
      timed(async () => {
        await terminal.type(Buffer.from("x"));
        await until("x");
      });
    const request = (): Promise<number> =>
      timed(() => daemon.client.call("vm.terminal.get", { params: { vm: "dev", terminal: "bench" } }));
    for (let round = 0; round < 50; round += 1) {
      await echo();
      await request();
    }
    const measured = await paired(500, echo, request, percentile95);
    figure = { name: "terminal echo, 95th percentile", unit: "ms", bound: 3, ...measured };
    leaving.abort();
    await ended;
  });
  return figure === null ? [] : [figure];
}
