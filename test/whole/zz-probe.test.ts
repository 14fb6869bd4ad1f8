import { test } from "node:test";
import { withDaemon } from "@workfort/testing";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "./raw-http.ts";
test("probe", () => withDaemon({config:"api:\n  listen: 127.0.0.1:0\n"}, async (daemon) => {
  const status = await daemon.client.call("system.status");
  const port = Number(status.tcp?.split(":").at(-1));
  const token = readFileSync(join(daemon.locations.stateDirectory,"token"),"utf8").trim();
  for (const door of [{socketPath: daemon.locations.socket},{host:"127.0.0.1",port}]) for (const size of [8*1024**2+1, 9_000_000, 50_000_000]) for (const chunked of [{}, {chunked:true}] as const) {
    const seen: Record<string, number> = {};
    for (let i=0;i<30;i++) {
      const r = await ask(door,{method:"POST",path:"/v1/vms",headers:{authorization:`Bearer ${token}`},body:Buffer.alloc(size," "),...chunked}).then(a=>String(a.status),e=>e.code);
      seen[r]=(seen[r]??0)+1;
    }
    console.log(JSON.stringify(door), size, JSON.stringify(chunked), JSON.stringify(seen));
  }
}));
