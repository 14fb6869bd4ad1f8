import { promises as fs } from "node:fs";
import { makeTestStore } from "../tools/test-store.ts";
import { makeFirecrackerDouble, withDaemon, testEnvironment } from "@workfort/testing";
import { configFor, createVm } from "./firecracker.ts";
const store = await makeTestStore(new AbortController().signal);
Object.assign(process.env, store?.env);
try {
  const { program } = await makeFirecrackerDouble(testEnvironment().root);
  await withDaemon({ config: configFor(program, true), env: { NODE_OPTIONS: "--cpu-prof --cpu-prof-dir=/tmp/prof --cpu-prof-interval 100" } }, async (daemon) => {
    await createVm(daemon, 128);
    const params = { vm: "dev" };
    const cpu = async (): Promise<number> => { const f = (await fs.readFile(`/proc/${daemon.pid}/stat`, "utf8")).split(") ")[1]!.split(" "); return (Number(f[11]) + Number(f[12])) * 10; };
    for (let i = 0; i < 8; i++) {
      const before = await cpu(); const t = performance.now();
      await daemon.client.call("vm.start", { params, body: { timeoutMs: 120000 } });
      console.log("start", Math.round(performance.now() - t), "ms; daemon cpu", (await cpu()) - before, "ms");
      await daemon.client.call("vm.kill", { params });
    }
  });
} finally { await store?.remove(); }
