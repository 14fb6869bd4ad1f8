import type { SetNetworkPolicy } from "@workfort/contract";
import { addresses, discardPort, withWorkplace, writeQuestion, type Guest, type Workplace } from "@workfort/testing";
import { BridgeByHand } from "./by-hand-network.ts";
import { median, type Figure } from "./figures.ts";

/**
 * A guest's network beside a bridge and NAT made by hand on the same machine; over both it speaks with a server on the
 * other side of that machine's wire. Times are the guest's own.
 *
 * Two QEMUs of the same arguments differ by a tenth and more for as long as they live, so it is one VM that is plugged
 * from one bridge to the other and back, and there are several of them.
 */
const vms = 3;
/** of each measurement in each VM */
const rounds = 8;
const memoryMiB = 256;
const { shared } = addresses.places;
/** sent in one connection */
const throughputMiB = 256;
const requests = 600;
/** as many as a guest may ask at once without being held back */
const questions = 750;

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
  const found = new Map<Comparison, Times>();
  await withWorkplace({}, async (workplace) => {
    for (let count = 0; count < vms; count += 1) await measureVm(workplace, found);
  });
  return [...found].map(([{ name, bound }, { ours, byHand }]) => {
    const ratios = ours.map((time, round) => time / (byHand[round] ?? Number.NaN));
    console.log(`  ${name}: ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")}`);
    return { name, unit: "ms", bound, value: median(ours), baseline: median(byHand), rounds: ours.length };
  });
}

/** of one comparison, ms of the guest's clock, round by round */
interface Times {
  ours: number[];
  byHand: number[];
}

async function measureVm(workplace: Workplace, found: Map<Comparison, Times>): Promise<void> {
  const { client } = workplace.daemon;
  const guest = await workplace.startVm("dev", { mode: "open" }, { memoryMiB });
  const bridge = await BridgeByHand.make(workplace.internet, guest);
  try {
    for (const { policy, comparisons } of stages) {
      await guest.setPolicy(policy);
      for (const comparison of comparisons) {
        const times = found.get(comparison) ?? { ours: [], byHand: [] };
        found.set(comparison, times);
        await compare(comparison, guest, bridge, times);
      }
    }
  } finally {
    await bridge.remove();
    await client.call("vm.kill", { params: { vm: "dev" } });
    await client.call("vm.delete", { params: { vm: "dev" } });
  }
}

async function compare(comparison: Comparison, guest: Guest, bridge: BridgeByHand, times: Times): Promise<void> {
  const ours = async (): Promise<number> => {
    await bridge.unplug();
    return await measured(guest, comparison.ours);
  };
  const byHand = async (): Promise<number> => {
    await bridge.plug();
    return await measured(guest, comparison.byHand);
  };
  for (const run of [ours, byHand]) await run(); // what is first runs slowly, on both sides
  for (let round = 0; round < rounds; round += 1) {
    // neither is always the one that follows the other
    if (round % 2 === 0) times.ours.push(await ours());
    times.byHand.push(await byHand());
    if (round % 2 === 1) times.ours.push(await ours());
  }
  await bridge.unplug();
}

/** What the script takes of the guest's clock, ms. */
async function measured(guest: Guest, script: string): Promise<number> {
  const body = { argv: ["perl", "-e", script], timeoutMs: 600_000 };
  const { exitCode, stdout, stderr } = await guest.daemon.client.call("vm.exec", { params: { vm: guest.name }, body });
  if (exitCode !== 0) throw new Error(stderr);
  return Number(stdout);
}
