import assert from "node:assert/strict";
import { addresses, http, tcp, udp, writeQuestion, type Guest } from "@workfort/testing";
import { gateway, lookUp, workerPolicy, type Proof } from "./proof.ts";

const { shared, elsewhere } = addresses.places;

/** bytes a second that are asked for here */
const bound = 256 * 1024;
const bytes = 2 * 1024 * 1024;
/** what may pass at once before the bound is felt */
const burst = 512 * 1024;
/** the least that it can take, ms; a loaded machine takes longer, never less */
const leastMs = ((bytes - burst) / bound) * 1000;

/** A guest that takes all it can get: what bounds it, and that it takes nothing from others. */
export const limitProofs: readonly Proof[] = [
  {
    title: "a bound of bytes a second holds in each direction",
    prove: async ({ stroller }) => {
      const timed = async (script: string): Promise<number> => {
        const clock = "date +%s%3N";
        const [from = 0, to = 0] = (await stroller.sh(`${clock}; ${script}; ${clock}`, 300_000))
          .trim()
          .split("\n")
          .map(Number);
        return to - from;
      };
      await stroller.setPolicy({ mode: "open", receiveBytesPerSecond: bound });
      const get = `exec 3<>/dev/tcp/${shared.ipv4}/8080; printf 'GET /bytes/${bytes} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3 >/dev/null`;
      const received = await timed(`bash -c '${get.replaceAll("'", `'"'"'`)}'`);
      assert.ok(received >= leastMs, `received ${bytes} bytes within ${received} ms`);
      await stroller.setPolicy({ mode: "open", sendBytesPerSecond: bound });
      const sent = await timed(
        `perl -e 'use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0); connect($s, pack_sockaddr_in(9, inet_aton("${shared.ipv4}"))); my $left = ${bytes}; while ($left > 0) { $left -= syswrite($s, "x" x 65536) } shutdown($s, 1); readline($s);'`,
      );
      assert.ok(sent >= leastMs, `sent ${bytes} bytes within ${sent} ms`);
      await stroller.setPolicy({ mode: "open" });
    },
  },
  {
    title:
      "a guest that floods with denied packets, names and connections takes the network from nobody, and the log is bounded",
    prove: async ({ workplace, worker, stroller }) => {
      const question = writeQuestion({ id: 1, name: "flood.test", type: "A" }).toString("hex");
      const flood = `use Socket; my $q = pack("H*", "${question}"); socket(my $u, AF_INET, SOCK_DGRAM, 0);
for my $n (1..20000) { send($u, "x" x 100, 0, pack_sockaddr_in(1 + $n % 60000, inet_aton("10.9." . ($n % 250) . ".9")));
send($u, $q, 0, pack_sockaddr_in(53, inet_aton("${gateway.ipv4}"))) if $n % 4 == 0; }
for my $n (1..600) { socket(my $s, AF_INET, SOCK_STREAM, 0); fcntl($s, 4, 2048); connect($s, pack_sockaddr_in(4000, inet_aton("${elsewhere.ipv4}"))); push our @all, $s; } sleep 5; print "done\\n"`;
      const flooding = stroller.sh(`perl -e '${flood}'`, 300_000);
      await answers(worker);
      assert.match(await flooding, /done/);
      await answers(worker);
      const [own] = await stroller.tries(tcp(elsewhere.ipv4, 4000, { send: "hello", wanted: 5 }));
      assert.equal(own?.text, "hello", "and it still has its own");
      assert.ok((await stroller.denials()).length <= 4096);
      assert.ok((await stroller.counters()).deniedPackets > 15_000);
      const after = await workplace.lastDenial();
      await worker.try(udp("10.9.9.9", 4000, "x"));
      await worker.logs(after, ({ address }) => address === "10.9.9.9");
    },
  },
];

async function answers(worker: Guest): Promise<void> {
  await worker.setPolicy(workerPolicy);
  assert.equal((await lookUp(worker, "allowed.test")).code, 0);
  const [page, direct] = await worker.tries(
    http(shared.ipv4, "allowed.test"),
    tcp(elsewhere.ipv4, 4000, { send: "hello", wanted: 5 }),
  );
  assert.match(page?.text ?? "", /^HTTP\/1\.1 200/);
  assert.equal(direct?.text, "hello");
}
