import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Denial } from "@workfort/contract";
import type { GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { eventually } from "@workfort/testing";
import { runTool } from "@workfort/host/process/run.ts";
import { Line, serveEcho, tcp } from "../lab/ask.ts";
import { internet, Lab } from "../lab/lab.ts";
import type { Namespace } from "../lab/namespace.ts";

/** A guest is root in its VM: it may send what it likes, and pass for nobody else. */
let lab: Lab;
let forger: { vm: GatewayVm; inside: Namespace };
let bridgeMac: string;
let victim: { vm: GatewayVm; inside: Namespace };
const [web] = internet.web;
const target = { address: web, port: 7000 };

before(async () => {
  lab = await Lab.make();
  await lab.put();
  forger = await lab.guest({ mode: "open" });
  victim = await lab.guest({ mode: "open" });
  const { stdout } = await runTool(["ip", "-netns", lab.workplace.name, "-json", "link", "show", lab.state.bridge]);
  [{ address: bridgeMac = "" } = {}] = JSON.parse(stdout) as { address: string }[];
  // known for good: what is tried here must not end because an answer to ARP does not come
  await forger.inside.ip(
    ...[lab.state.ipv4.gateway, lab.state.ipv6.gateway].map(
      (gateway) => `neigh replace ${gateway} lladdr ${bridgeMac} dev eth0 nud permanent`,
    ),
  );
  await serveEcho(lab.internet, [target, { address: internet.web6, port: 7000 }]);
});
after(async () => {
  assert.equal(lab.gateway.errors, "");
  await lab.remove();
});

const spoofs = async (about: (denial: Denial) => boolean): Promise<Denial[]> =>
  await eventually(
    async () => (await lab.gateway.denials(forger.vm.id)).filter((denial) => denial.kind === "spoof" && about(denial)),
    (denials) => denials.length > 0,
  );

test("packets from another guest's address go nowhere, and are told", async () => {
  for (const [from, address] of [
    [victim.vm.ipv4, web],
    [victim.vm.ipv6, internet.web6],
  ] as const) {
    await forger.inside.ip(`addr add ${from}/${from.includes(":") ? "128 nodad" : "32"} dev eth0`);
    assert.equal(await tcp(forger.inside, { address, port: 7000, from }), "TIMEOUT");
    const [denial] = await spoofs((denial) => denial.address === address);
    assert.match(denial?.reason ?? "", new RegExp(`sender is not this VM's: ${from}`));
    await forger.inside.ip(`addr del ${from}/${from.includes(":") ? "128" : "32"} dev eth0`);
  }
});

test("who says by ARP that it is the gateway or another guest is not heard", async () => {
  const line = await Line.open(victim.inside, target);
  for (const from of [lab.state.ipv4.gateway, victim.vm.ipv4]) {
    await forger.inside.ip(`addr add ${from}/32 dev eth0`);
    // the kernel asks for a neighbour in the name of the address that it would send from
    assert.equal(await tcp(forger.inside, { address: "10.213.7.7", port: 7000, from }), "EHOSTUNREACH");
    await forger.inside.ip(`addr del ${from}/32 dev eth0`);
  }
  await spoofs((denial) => denial.address === "10.213.7.7");
  assert.equal(await line.echoes("still here"), true);
  const neighbours = await lab.workplace.tool("ip", "neigh", "show", "dev", lab.state.bridge);
  assert.match(neighbours, new RegExp(`^${victim.vm.ipv4} lladdr ${victim.vm.macAddress} PERMANENT`, "m"));
});

test("frames of another hardware address go nowhere, not even with the right sender", async () => {
  const gateway = lab.state.ipv4.gateway;
  const neighbour = `neigh replace ${gateway} lladdr ${bridgeMac} dev eth0 nud permanent`; // goes with the address
  await forger.inside.ip(`link set dev eth0 address ${victim.vm.macAddress}`, neighbour);
  assert.equal(await tcp(forger.inside, target), "TIMEOUT");
  await spoofs(({ reason }) => reason.includes(forger.vm.ipv4));
  assert.match(await tcp(victim.inside, target), /^198/);
  const table = await lab.workplace.tool("bridge", "fdb", "show", "br", lab.state.bridge);
  assert.match(table, new RegExp(`^${victim.vm.macAddress} dev ${victim.vm.tap} .*static`, "m"));
  await forger.inside.ip(`link set dev eth0 address ${forger.vm.macAddress}`);
  assert.match(await tcp(forger.inside, target), /^198/);
});
