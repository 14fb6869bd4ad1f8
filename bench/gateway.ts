import { promises as fs } from "node:fs";
import { closedRanges } from "@workfort/core/network/closed-ranges.ts";
import { CompiledPolicy } from "@workfort/core/network/policy.ts";
import type { GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { exchange, guestElements } from "../packages/gateway/src/rules/guest-elements.ts";
import { PolicyRules } from "../packages/gateway/src/rules/policy-rules.ts";
import { dns } from "../packages/gateway/test/lab/ask.ts";
import { internet, Lab } from "../packages/gateway/test/lab/lab.ts";
import { serveNames } from "../packages/gateway/test/lab/servers.ts";
import { median, paired, timed, type Figure } from "./figures.ts";

/**
 * The gateway: what a VM's tap and rules cost beside the bare calls that they need, and beside what they cost when
 * there are two hundred; a name asked of it beside one asked of who it asks; its memory.
 */
const rounds = 25;
const many = 200;
const questions = 1000;
const policy = { mode: "allow" as const, allow: ["preset:npm", "preset:github", "198.51.100.0/24:5432"] };

export async function measure(): Promise<Figure[]> {
  const lab = await Lab.make();
  const crowded = await Lab.make();
  try {
    await serveNames(lab.internet, internet.ipv4, { "good.example": { addresses: [internet.web[0]] } });
    await lab.put();
    const idle = await residentMiB(lab);
    await crowded.put({ vms: Array.from({ length: many }, (_, index) => crowded.vm(index + 1000, policy)) });
    const full = await residentMiB(crowded);
    const vm = lab.vm(500, policy);
    const bare = bareCalls(lab, lab.vm(501, policy));
    const ours = await paired(rounds, async () => await setUp(lab, vm), bare);
    const beside = await paired(
      rounds,
      async () => await setUp(crowded, vm),
      async () => await setUp(lab, vm),
    );
    const stated = { unit: "MiB", baseline: null, bound: null, rounds: 1 } as const;
    return [
      await ofNames(lab),
      { name: "gateway: a VM's tap and rules, bare calls", unit: "ms", ...ours, bound: 2 },
      { name: `the same beside ${many} others, beside none`, unit: "ms", ...beside, bound: 1.2 },
      { name: "gateway idle", ...stated, value: idle },
      { name: `gateway with ${many} VMs`, ...stated, value: full },
    ];
  } finally {
    await lab.remove();
    await crowded.remove();
  }
}

async function setUp(lab: Lab, vm: GatewayVm): Promise<number> {
  const value = await timed(async () => await lab.gateway.call("PUT", `/v1/vms/${vm.id}`, vm));
  await lab.gateway.call("DELETE", `/v1/vms/${vm.id}`);
  return value;
}

/** What a shell script would run for a VM, with the same rules. */
function bareCalls(lab: Lab, vm: GatewayVm): () => Promise<number> {
  const { vms: _, ...settings } = lab.state;
  const closed = closedRanges([settings.ipv4.subnet, settings.ipv6.subnet, ...settings.hostAddresses]);
  // a policy of its own, so that making and removing it meets nobody else's
  const rules = new PolicyRules(
    new CompiledPolicy({ ...vm.policy, allow: [...vm.policy.allow, "192.0.2.1"] }, closed),
    closed,
  );
  const elements = guestElements(vm, rules, settings);
  const { tap, macAddress } = vm;
  const run = async (argv: [string, ...string[]], name: string, text: string): Promise<void> => {
    await fs.writeFile(lab.socket(name), text);
    await lab.workplace.tool(...argv, lab.socket(name));
  };
  return async () => {
    const value = await timed(async () => {
      await run(["nft", "-f"], "nft", `${rules.text}\n${exchange([], elements)}\n`);
      await run(
        ["ip", "-batch"],
        "ip",
        `tuntap add dev ${tap} mode tap vnet_hdr\nlink set dev ${tap} master nexbr0 up\n`,
      );
      await run(["bridge", "-batch"], "bridge", `fdb replace ${macAddress} dev ${tap} master static\n`);
    });
    await lab.workplace.tool("ip", "link", "del", "dev", tap);
    await run(["nft", "-f"], "nft", `${exchange(elements, [])}\n${rules.removal}\n`);
    return value;
  };
}

async function ofNames(lab: Lab): Promise<Figure> {
  const { inside } = await lab.guest({ mode: "open" });
  const ask = async (from: typeof inside, server: string): Promise<number> =>
    await timed(async () => await dns(from, { server, name: "good.example" }));
  // what has just started runs slowly, on both sides
  for (let count = 0; count < questions; count += 1)
    for (const [from, server] of [
      [inside, lab.state.ipv4.gateway],
      [lab.workplace, internet.ipv4],
    ] as const)
      await ask(from, server);
  const figure = await paired(
    questions,
    async () => await ask(inside, lab.state.ipv4.gateway),
    async () => await ask(lab.workplace, internet.ipv4),
    median,
  );
  return { name: "a name asked of the gateway, of its server", unit: "ms", ...figure, bound: 1.2 };
}

async function residentMiB(lab: Lab): Promise<number> {
  const status = await fs.readFile(`/proc/${lab.gateway.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
