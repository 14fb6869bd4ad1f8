import { promises as fs } from "node:fs";
import { GuestSession } from "@workfort/host/guest/session.ts";
import { connectToVmm } from "@workfort/host/process/unix-socket.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { readOutputStream } from "@workfort/contract";
import { addresses, discardPort, withWorkplace, writeQuestion, type Guest } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { makeBridgeByHand, removeBridgeByHand } from "./by-hand-network.ts";
import { paired, type Figure } from "./figures.ts";

/**
 * A guest's network beside the same VM on a bridge, a tap and NAT made by hand on the same machine; both speak with a
 * server on the other side of that machine's wire. Times are the guest's own.
 */
const rounds = 11;
const memoryMiB = 256;
const { shared } = addresses.places;
/** sent in one connection */
const throughputMiB = 192;
const requests = 600;
const questions = 1_500;

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

export async function measure(): Promise<Figure[]> {
  const figures: Figure[] = [];
  await withWorkplace({}, async (workplace) => {
    const guest = await workplace.startVm("dev", { mode: "open" }, { memoryMiB });
    const attached = await makeBridgeByHand(workplace.internet);
    const byHand = await BareVm.prepare(memoryMiB, attached);
    await byHand.start();
    const { running } = await workplace.daemon.client.call("vm.get", { params: { vm: "dev" } });
    if (running !== null) await joinOwnGroups(running.pid);
    const session = new GuestSession(
      await openChannel(() => connectToVmm(byHand.agentSocket), AbortSignal.timeout(60_000)),
    );
    try {
      const ours = measuredInVm(guest);
      const bare = measuredByHand(session);
      const compare = async (name: string, bound: number | null, value: string, baseline: string): Promise<void> => {
        for (const run of [() => ours(value), () => bare(baseline)]) await run();
        figures.push({
          name,
          unit: "ms",
          bound,
          ...(await paired(
            rounds,
            () => ours(value),
            () => bare(baseline),
            least,
          )),
        });
      };
      const [stream, rate] = [throughput(discardPort), requestRate(8080, "allowed.test")];
      await compare(`${throughputMiB} MiB sent, beside a bridge by hand`, 1 / 0.95, stream, stream);
      await compare(`${requests} connections with a request, beside a bridge by hand`, 1 / 0.95, rate, rate);
      await compare(
        `${questions} names asked of us, beside the resolver itself`,
        1.2,
        lookUps("10.213.0.1"),
        lookUps(addresses.resolver.ipv4),
      );

      const many = Array.from({ length: 1_000 - 2 }, (_, index) => `name-${index}.example.test`);
      await guest.setPolicy({ allow: ["allowed.test", `${shared.ipv4}:1-65535/tcp`, ...many] });
      await compare(`${throughputMiB} MiB sent under 1,000 entries`, 1 / 0.9, stream, stream);
      await compare(`${requests} connections with a request under 1,000 entries`, 1 / 0.9, rate, rate);
      await guest.setPolicy({ allow: ["allowed.test", ...many] });
      const checked = requestRate(80, "allowed.test");
      await compare(`${requests} requests through the check of names`, null, checked, checked);
    } finally {
      session.destroy();
      await byHand.end();
      await removeBridgeByHand(workplace.internet);
    }
  });
  return figures;
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
