import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { GuestSession } from "@workfort/host/guest/session.ts";
import { connectToVmm } from "@workfort/host/process/unix-socket.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { withDaemon } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { runRaw } from "./exec.ts";
import { paired, timed, type Figure } from "./figures.ts";

/** `run_command` by the official client over HTTP, beside the same shell through the raw channel by a minimal client. */
export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  await withDaemon({ config: "api:\n  listen: 127.0.0.1:0\nvmm:\n  default: qemu\n" }, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    await daemon.client.call("vm.start", { params: { vm: "dev" }, body: {} });
    const { secret } = await daemon.client.call("token.create", { body: { name: "bench", vms: null } });
    const client = new Client({ name: "bench", version: "1" }, { versionNegotiation: { mode: "auto" } });
    const { tcp } = await daemon.client.call("system.status");
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`http://${tcp}/mcp`), {
        requestInit: { headers: { authorization: `Bearer ${secret}` } },
      }),
    );
    const vm = await BareVm.prepare(512);
    await vm.start();
    const session = new GuestSession(
      await openChannel(() => connectToVmm(vm.agentSocket), AbortSignal.timeout(30_000)),
    );
    const ours = (): Promise<number> =>
      timed(() => client.callTool({ name: "run_command", arguments: { vm: "dev", command: "true" } }));
    const bare = (): Promise<number> => timed(() => runRaw(session, ["/bin/sh", "-c", "true"]));
    for (let warm = 0; warm < 20; warm += 1) {
      await ours();
      await bare();
    }
    figure = { name: "run_command through MCP", unit: "ms", bound: 1.3, ...(await paired(300, ours, bare)) };
    session.destroy();
    await vm.end();
    await client.close();
  });
  return figure === null ? [] : [figure];
}
