import { withDaemon } from "@workfort/testing";
import { BareFirecracker } from "./bare-firecracker.ts";
import { median, paired, timed, type Figure } from "./figures.ts";
import { configFor, createVm } from "./firecracker.ts";

/**
 * A start until the agent is ready, by the boot's own history, beside the same Firecracker started by hand with a
 * configuration file until the agent answers on vsock: same kernel, initramfs, disk and devices. What the caller of the
 * API waits is stated, too: nobody calls the one by hand over HTTP. Needs FIRECRACKER_BIN and a KVM that boots, as in
 * `npm run lab -- bench`.
 */
const memoryMiB = 256;
const rounds = 9;
/** before them: a daemon runs for long, and emulated V8 takes some starts to compile what each of them runs */
const warmUps = 8;
/** for one start, ms; a VM within a VM is slow */
const startBoundMs = 120_000;
/** seen twice: a nested guest started by hand stood still, for a reason that is not known; such a start is no figure */
const mostAttempts = 3;

export async function measure(): Promise<Figure[]> {
  const program = process.env["FIRECRACKER_BIN"];
  if (program === undefined) {
    console.log("  FIRECRACKER_BIN is not set, so nothing was measured");
    return [];
  }
  const figures: Figure[] = [];
  await withDaemon({ config: configFor(program, true) }, async (daemon) => {
    await createVm(daemon, memoryMiB);
    const params = { vm: "dev" };
    const called: number[] = [];
    const ours = async (): Promise<number> => {
      try {
        called.push(await timed(() => daemon.client.call("vm.start", { params, body: { timeoutMs: startBoundMs } })));
        const [boot] = (await daemon.client.call("vm.history", { params })).boots;
        if (boot?.readyAt == null) throw new Error("the boot's history does not say that the agent was ready");
        return boot.readyAt - boot.startedAt;
      } finally {
        await daemon.client.call("vm.kill", { params });
      }
    };
    const byHand = async (): Promise<number> => {
      const vm = await BareFirecracker.prepare(program, memoryMiB);
      try {
        return await timed(() => vm.startByFile(startBoundMs));
      } finally {
        await vm.end();
      }
    };
    for (let count = 0; count < warmUps; count += 1) await untilItBoots(ours);
    const measured = await paired(
      rounds,
      () => untilItBoots(ours),
      () => untilItBoots(byHand),
    );
    const { boots } = await daemon.client.call("vm.history", { params });
    const ready = boots.filter(({ readyAt }) => readyAt !== null).slice(0, rounds);
    const phases = ready[0]?.phases.map(({ name }) => {
      const found = ready.flatMap((boot) => boot.phases.filter((phase) => phase.name === name));
      return `${name} ${Math.round(median(found.map(({ durationMs }) => durationMs)))} ms`;
    });
    console.log(`  phases, their medians: ${phases?.join(", ")}`);
    const { baseline } = measured;
    figures.push(
      { name: "start until the agent is ready, Firecracker", unit: "ms", bound: 1.15, ...measured },
      {
        name: "and until its caller is told",
        unit: "ms",
        bound: null,
        value: median(called.slice(-rounds)),
        baseline,
        rounds,
      },
    );
  });
  return figures;
}

async function untilItBoots(start: () => Promise<number>): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (attempt === mostAttempts) throw error;
      console.log(`  a start is repeated: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
