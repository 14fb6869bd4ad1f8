import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Denial, SetNetworkPolicy } from "@workfort/contract";
import {
  addresses,
  ping,
  readAnswer,
  udp,
  writeQuestion,
  type Attempt,
  type Guest,
  type Outcome,
  type ReadAnswer,
  type RecordType,
  type Workplace,
} from "@workfort/testing";

/**
 * What is proven of guests' networks, from inside. Each proof says in its title what it proves; a no is looked for at
 * both ends and in the log: the guest did not get through, the server saw nothing, the log says why.
 */
export interface Stage {
  workplace: Workplace;
  /** in mode `allow`, by `workerPolicy` */
  worker: Guest;
  /** in mode `open` */
  stroller: Guest;
}

export interface Proof {
  title: string;
  /** what `npm test` proves of each way to a network; the rest of it is proven of one way, and of all in test/full */
  core?: true;
  prove: (stage: Stage) => Promise<void>;
}

export const workerPolicy: SetNetworkPolicy = {
  mode: "allow",
  allow: [
    "allowed.test",
    "www.allowed.test",
    "*.below.test",
    "db.test:5432",
    "datagrams.test:4000/udp",
    `${addresses.places.elsewhere.ipv4}:4000`,
    `[${addresses.places.elsewhere.ipv6}]:4000`,
  ],
};

/** the first address of the default subnets */
export const gateway = { ipv4: "10.213.0.1", ipv6: "fd5f:2113:61c5::1" };

/** what a guest gets at once where rules refuse it; over UDP the kernel says so by ICMP */
export const refusals = ["ECONNREFUSED", "EHOSTUNREACH", "EACCES", "ECONNRESET"];

export async function prove(context: TestContext, stage: Stage, proofs: readonly Proof[]): Promise<void> {
  for (const { title, prove: one } of proofs) {
    await context.test(title, async () => {
      await stage.workplace.internet.forget();
      await one(stage);
    });
  }
}

const gatewayMacs = new WeakMap<Guest, string>();

/** The MAC address of the gateway, as a guest has learned it. */
export async function gatewayMac(guest: Guest): Promise<string> {
  const known = gatewayMacs.get(guest);
  if (known !== undefined) return known;
  await guest.try(ping(gateway.ipv4));
  const table = await guest.sh("cat /proc/net/arp");
  const [, mac] = new RegExp(`^${gateway.ipv4} .* ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) `, "m").exec(table) ?? [];
  assert.ok(mac !== undefined, table);
  gatewayMacs.set(guest, mac);
  return mac;
}

/** A question to our DNS. */
export function ask(name: string, type: RecordType = "A", at = gateway.ipv4): Attempt {
  return udp(at, 53, writeQuestion({ id: 4711, name, type }));
}

export async function lookUp(guest: Guest, name: string, type: RecordType = "A"): Promise<ReadAnswer> {
  return answerOf(await guest.try(ask(name, type)));
}

export function answerOf(outcome: Outcome): ReadAnswer {
  assert.equal(outcome.what, "answered", `our DNS does not answer: ${outcome.what}`);
  return readAnswer(outcome.bytes);
}

export const addressesIn = (answer: ReadAnswer): string[] =>
  answer.records.filter(({ type }) => type === 1 || type === 28).map(({ data }) => data);

/** Fails unless nothing of the kind has reached a server; what came is told. */
export async function assertUnseen(
  { internet }: Workplace,
  what: { name?: string; to?: readonly string[]; port?: number },
): Promise<void> {
  const matches = (to: string, port: number | null): boolean =>
    (what.to === undefined || what.to.includes(to)) && (what.port === undefined || what.port === port);
  const seen = (await internet.outside.ask.seen()).filter(
    ({ name, address, port }) => (what.name === undefined || name.includes(what.name)) && matches(address, port),
  );
  assert.deepEqual(seen, [], "a server saw it");
  if (what.name !== undefined) return;
  assert.deepEqual(
    (await internet.arrivals()).filter(({ to, port }) => matches(to, port)),
    [],
    "packets arrived",
  );
}

/** Fails unless the log tells of a denial with these fields. */
export async function assertLogged(guest: Guest, after: number, wanted: Partial<Denial>): Promise<Denial> {
  const denial = await guest.logs(after, (one) =>
    Object.entries(wanted).every(([field, value]) => one[field as keyof Denial] === value),
  );
  assert.notEqual(denial.reason, "");
  assert.equal(denial.vmName, guest.name);
  return denial;
}
