import { promises as fs } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { makeTestStore } from "../tools/test-store.ts";
import { print, type Figure } from "./figures.ts";

/** `npm run bench [-- NAME…]`: every figure beside its baseline, measured in one run. */
const measurements: Record<string, () => Promise<(typeof import("./start.ts"))["measure"]>> = {
  start: async () => (await import("./start.ts")).measure,
  create: async () => (await import("./create.ts")).measure,
  exec: async () => (await import("./exec.ts")).measure,
  mcp: async () => (await import("./mcp.ts")).measure,
  terminal: async () => (await import("./terminal.ts")).measure,
  streams: async () => (await import("./streams.ts")).measure,
  copy: async () => (await import("./copy.ts")).measure,
  status: async () => (await import("./status.ts")).measure,
  twenty: async () => (await import("./twenty.ts")).measure,
  firecracker: async () => (await import("./firecracker.ts")).measure,
  "by-hand": async () => (await import("./by-hand.ts")).measure,
  gateway: async () => (await import("./gateway.ts")).measure,
  memory: async () => (await import("./memory.ts")).measure,
  network: async () => (await import("./network.ts")).measure,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => measurements[name] === undefined);
if (unknown.length > 0) {
  console.error(`error: there is no bench ${unknown.join(", ")}; there are ${Object.keys(measurements).join(", ")}`);
  process.exit(2);
}
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort());

// in the lab there is one
const store = process.env["WORKFORT_TEST_ROOT"] === undefined ? await makeTestStore(stopped.signal) : null;
Object.assign(process.env, store?.env);
const figures: Figure[] = [];
try {
  for (const [name, load] of Object.entries(measurements)) {
    if ((wanted.length > 0 && !wanted.includes(name)) || stopped.signal.aborted) continue;
    console.log(`measuring ${name} …`);
    figures.push(...(await (await load())()));
  }
} finally {
  await store?.remove();
}
const machine = {
  processor: cpus()[0]?.model,
  processors: cpus().length,
  memoryMiB: Math.floor(totalmem() / 1024 ** 2),
  kernel: release(),
  node: process.version,
};
await fs.mkdir("bench/results", { recursive: true });
await fs.writeFile(
  "bench/results/latest.json",
  `${JSON.stringify({ at: new Date().toISOString(), machine, figures }, null, 2)}\n`,
);
print(figures);
process.exitCode = figures.some(
  ({ value, baseline, bound }) => bound !== null && (baseline === null ? value : value / baseline) > bound,
)
  ? 1
  : 0;
