import { promises as fs } from "node:fs";
import { GuestSession } from "@workfort/host/guest/session.ts";
import { connectToVmm } from "@workfort/host/process/unix-socket.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { readOutputStream, type SetNetworkPolicy } from "@workfort/contract";
import type { AttachedNetwork } from "@workfort/core";
import { addresses, discardPort, withWorkplace, writeQuestion, type Guest, type Workplace } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { makeBridgeByHand, removeBridgeByHand } from "./by-hand-network.ts";
import { paired, type Figure } from "./figures.ts";

/**
 * A guest's network beside the same VM on a bridge, a tap and NAT made by hand on the same machine; both speak with a
 * server on the other side of that machine's wire. Times are the guest's own.
 *
 * Two QEMUs of the same arguments differ for as long as they live, by a tenth and more: where their memory lies, and on
 * which processor they came to be. So there are several pairs of VMs, and a figure is the pair's in the middle.
 */
const pairs = 11;
/** of each measurement within a pair of VMs */
const rounds = 3;
const memoryMiB = 256;
const { shared } = addresses.places;
/** sent in one connection */
const throughputMiB = 96;
const requests = 300;
const questions = 750;

/** What the machine's other work has disturbed least. */
const least = (values: readonly number[]): number => Math.min(...values);

/** what it takes of the guest's clock, ms */
type Measured = (script: string) => Promise<number>;

const clock = `use Socket; sub now { open(my $f, "<", "/proc/uptime"); return 1000 * (split / /, <$f>)[0]; }
sub to { my ($a, $p) = @_; socket(my $s, AF_INET, SOCK_STREAM, 0); connect($s, pack_sockaddr_in($p, inet_aton($a))) or die "$!"; return $s; }
my $t = now();`;
const end = 'print now() - $t, "\\n";';

const throughput = (port: number): string =>
  `${clock} my $s = to("${shared.ipv4}", ${port}); my $b = "x" x 65536; syswrite($s, $b) for 1..${throughputMiB * 16}; shutdown($s, 1); <$s>; ${end}`;
const requestRate = (port: number, host: string): string =>
  `${clock} for (1..${requests}) { my $s = to("${shared.ipv4}", ${port}); syswrite($s, "GET / HTTP/1.1\\r\\nHost: ${host}\\r\\nConnection: close\\r\\n\\r\\n"); my @l = <$s>; @l > 3 or die "no answer"; } ${end}`;
const lookUps = (resolver: string): string => {
  const question = writeQuestion({ id: 1, name: "allowed.test", type: "A" }).toString("hex");
  return `${clock} socket(my $s, AF_INET, SOCK_DGRAM, 0); connect($s, pack_sockaddr_in(53, inet_aton("${resolver}"))); my $q = pack("H*", "${question}"); my $n;
for (1..${questions}) { do { send($s, $q, 0); my $r = ""; vec($r, fileno($s), 1) = 1; $n = select($r, undef, undef, 1) } until $n; recv($s, my $a, 4096, 0); length $a > 40 or die "no answer"; } ${end}`;
};

/** a measurement on ours, and the same on the one by hand */
interface Comparison {
  name: string;
  /** most that ours may take of the other's time, null where it is only stated */
  bound: number | null;
  ours: string;
  byHand: string;
}

const [stream, rate] = [throughput(discardPort), requestRate(8080, "allowed.test")];
const checked = requestRate(80, "allowed.test");
const manyNames = Array.from({ length: 1_000 - 2 }, (_, index) => `name-${index}.example.test`);
/** policies of our guest, one after the other, and what is measured under each */
const stages: readonly { policy: SetNetworkPolicy; comparisons: readonly Comparison[] }[] = [
  {
    policy: { mode: "open" },
    comparisons: [
      {
        name: `${throughputMiB} MiB sent, beside a bridge by hand`,
        bound: 1 / 0.95,
        ours: stream,
        byHand: stream,
      },
      {
        name: `${requests} connections with a request, beside a bridge by hand`,
        bound: 1 / 0.95,
        ours: rate,
        byHand: rate,
      },
      {
        name: `${questions} names asked of us, beside the resolver itself`,
        bound: 1.2,
        ours: lookUps("10.213.0.1"),
        byHand: lookUps(addresses.resolver.ipv4),
      },
    ],
  },
  {
    policy: { allow: ["allowed.test", `${shared.ipv4}:1-65535/tcp`, ...manyNames] },
    comparisons: [
      { name: `${throughputMiB} MiB sent under 1,000 entries`, bound: 1 / 0.9, ours: stream, byHand: stream },
      { name: `${requests} connections with a request under 1,000 entries`, bound: 1 / 0.9, ours: rate, byHand: rate },
    ],
  },
  {
    policy: { allow: ["allowed.test", ...manyNames] },
    comparisons: [
      { name: `${requests} requests through the check of names`, bound: null, ours: checked, byHand: checked },
    ],
  },
];

export async function measure(): Promise<Figure[]> {
  const ofPairs: Figure[][] = [];
  await withWorkplace({}, async (workplace) => {
    const attached = await makeBridgeByHand(workplace.internet);
    try {
      for (let pair = 0; pair < pairs; pair += 1) ofPairs.push(await measurePair(workplace, attached));
    } finally {
      await removeBridgeByHand(workplace.internet);
    }
  });
  return (ofPairs[0] ?? []).map((_, at) => middle(ofPairs.flatMap((figures) => figures[at] ?? [])));
}

async function measurePair(workplace: Workplace, attached: AttachedNetwork): Promise<Figure[]> {
  const { client } = workplace.daemon;
  const guest = await workplace.startVm("dev", { mode: "open" }, { memoryMiB });
  const byHand = await BareVm.prepare(memoryMiB, attached);
  try {
    await byHand.start();
    const { running } = await client.call("vm.get", { params: { vm: "dev" } });
    if (running !== null) await joinOwnGroups(running.pid);
    const session = new GuestSession(
      await openChannel(() => connectToVmm(byHand.agentSocket), AbortSignal.timeout(60_000)),
    );
    const figures: Figure[] = [];
    for (const { policy, comparisons } of stages) {
      await guest.setPolicy(policy);
      for (const comparison of comparisons)
        figures.push(await compare(comparison, measuredInVm(guest), measuredByHand(session)));
    }
    session.destroy();
    return figures;
  } finally {
    await byHand.end();
    await client.call("vm.kill", { params: { vm: "dev" } });
    await client.call("vm.delete", { params: { vm: "dev" } });
  }
}

async function compare(comparison: Comparison, inOurs: Measured, inOther: Measured): Promise<Figure> {
  const [ours, byHand] = [() => inOurs(comparison.ours), () => inOther(comparison.byHand)];
  for (const run of [ours, byHand]) await run(); // what is first runs slowly, on both sides
  const { name, bound } = comparison;
  return { name, unit: "ms", bound, ...(await paired(rounds, ours, byHand, least)) };
}

/** The figure whose ratio lies in the middle. */
function middle(figures: readonly Figure[]): Figure {
  const ratio = ({ value, baseline }: Figure): number => value / (baseline ?? Number.NaN);
  const sorted = figures.toSorted((one, other) => ratio(one) - ratio(other));
  const [first, found] = [sorted[0], sorted[Math.floor(sorted.length / 2)]];
  if (first === undefined || found === undefined) throw new Error("nothing was measured");
  console.log(`  ${found.name}: ${sorted.map((figure) => ratio(figure).toFixed(2)).join(", ")}`);
  return { ...found, rounds: sorted.reduce((sum, figure) => sum + figure.rounds, 0) };
}

/** Puts a VMM under the limits that the bench itself has, as the one by hand is: only the networks shall differ. */
async function joinOwnGroups(pid: number): Promise<void> {
  for (const line of (await fs.readFile("/proc/self/cgroup", "utf8")).trim().split("\n")) {
    const [, controllers = "", path = ""] = line.split(":");
    const group = `/sys/fs/cgroup/${controllers.replace("name=", "")}${path}`;
    await fs.writeFile(`${group}/cgroup.procs`, String(pid)).catch(() => {}); // one that is not mounted
  }
}

function measuredInVm(guest: Guest): Measured {
  return async (script) => {
    const body = { argv: ["perl", "-e", script], timeoutMs: 600_000 };
    const { exitCode, stdout, stderr } = await guest.daemon.client.call("vm.exec", {
      params: { vm: guest.name },
      body,
    });
    if (exitCode !== 0) throw new Error(stderr);
    return Number(stdout);
  };
}

function measuredByHand(session: GuestSession): Measured {
  return async (script) => {
    const argv = ["perl", "-e", script];
    const { body } = await session.request({ method: "POST", path: "/v1/processes", body: { argv, attach: true } });
    let text = "";
    let errors = "";
    for await (const frame of readOutputStream(body)) {
      if (frame.kind === "stdout") text += frame.bytes.toString();
      if (frame.kind === "stderr") errors += frame.bytes.toString();
    }
    if (text === "") throw new Error(errors);
    return Number(text);
  };
}
