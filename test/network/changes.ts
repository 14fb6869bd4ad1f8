import assert from "node:assert/strict";
import { newProcessId, runProcess } from "@workfort/client";
import { readOutputStream } from "@workfort/contract";
import { addresses, eventually, http, tcp, type Guest } from "@workfort/testing";
import { assertLogged, assertUnseen, refusals, workerPolicy, type Proof } from "./proof.ts";

const { shared, elsewhere } = addresses.places;

/** A connection of a guest's that says something again and again, and prints what comes back. */
export class Connection {
  readonly #guest: Guest;
  readonly id = newProcessId();

  constructor(guest: Guest) {
    this.#guest = guest;
  }

  /** An echo that is asked each 50 ms. */
  static async echo(guest: Guest, address: string, port: number): Promise<Connection> {
    const connection = new Connection(guest);
    const script = `exec 3<>/dev/tcp/${address}/${port}; while echo hello >&3; do read -t 20 -r line <&3 || break; echo "$line"; sleep 0.05; done; echo gone`;
    await connection.#start(["bash", "-c", script]);
    return connection;
  }

  /** A page without end. */
  static async page(guest: Guest, address: string, host: string): Promise<Connection> {
    const connection = new Connection(guest);
    const script = `exec 3<>/dev/tcp/${address}/80; printf 'GET /lines HTTP/1.1\\r\\nHost: ${host}\\r\\n\\r\\n' >&3; cat <&3; echo gone`;
    await connection.#start(["bash", "-c", script]);
    return connection;
  }

  async text(): Promise<string> {
    const params = { vm: this.#guest.name, process: this.id };
    const { body } = await this.#guest.daemon.client.bytes("process.output", { params });
    let text = "";
    for await (const frame of readOutputStream(body)) if (frame.kind === "stdout") text += frame.bytes.toString();
    return text;
  }

  /** Resolves when more has come than when it was asked; fails where the connection is gone. */
  async goesOn(): Promise<void> {
    const before = (await this.text()).length;
    const now = await eventually(
      () => this.text(),
      (text) => text.length > before + 20 || text.includes("gone"),
      30_000,
    );
    assert.doesNotMatch(now, /gone/, "the connection has ended");
  }

  async ends(): Promise<void> {
    await eventually(
      () => this.text(),
      (text) => text.includes("gone"),
      30_000,
    );
  }

  async #start(argv: string[]): Promise<void> {
    await this.#guest.daemon.client.bytes("process.start", {
      params: { vm: this.#guest.name },
      body: { id: this.id, argv },
    });
  }
}

/** A policy that changes while connections live, and a network whose parts die. */
export const changeProofs: readonly Proof[] = [
  {
    title: "a policy that changes ends what it no longer allows at once, direct and proxied, and leaves the rest alone",
    prove: async ({ workplace, worker, stroller }) => {
      const after = await workplace.lastDenial();
      const direct = await Connection.echo(worker, elsewhere.ipv4, 4000);
      const proxied = await Connection.page(worker, shared.ipv4, "allowed.test");
      const staying = await Connection.page(worker, shared.ipv4, "www.allowed.test");
      const other = await Connection.echo(stroller, elsewhere.ipv4, 5432);
      for (const connection of [direct, proxied, staying, other]) await connection.goesOn();
      await worker.setPolicy({ mode: "allow", allow: ["www.allowed.test"] });
      await Promise.all([direct.ends(), proxied.ends()]);
      await Promise.all([staying.goesOn(), other.goesOn()]);
      const [again] = await worker.tries(tcp(elsewhere.ipv4, 4000));
      assert.equal(again?.what, "ECONNREFUSED");
      await worker.setPolicy({ mode: "none" });
      await staying.ends();
      await workplace.internet.forget();
      const nothing = await worker.tries(
        http(shared.ipv4, "www.allowed.test"),
        tcp(elsewhere.ipv4, 4000),
        tcp(shared.ipv6, 443),
      );
      for (const { what } of nothing) assert.ok(refusals.includes(what), what);
      await assertUnseen(workplace, { to: [shared.ipv4, elsewhere.ipv4, shared.ipv6], port: 4000 });
      await assertUnseen(workplace, { to: [shared.ipv6] });
      await assertLogged(worker, after, { kind: "packet", address: elsewhere.ipv4, port: 4000 });
      await other.goesOn();
      await worker.setPolicy(workerPolicy);
      const [back] = await worker.tries(tcp(elsewhere.ipv4, 4000, { send: "hello", wanted: 5 }));
      assert.equal(back?.text, "hello");
    },
  },
  {
    title: "the log is followed as it grows",
    prove: async ({ workplace, worker }) => {
      const { client } = workplace.daemon;
      const leaving = new AbortController();
      const after = await workplace.lastDenial();
      const { body } = await client.bytes(
        "network.log",
        { query: { vm: worker.name, after: String(after), follow: "true" } },
        { signal: leaving.signal },
      );
      const lines: string[] = [];
      const reading = (async () => {
        for await (const chunk of body) lines.push(Buffer.from(chunk).toString());
      })().catch(() => {});
      await worker.try(tcp("203.0.113.77", 7777));
      await eventually(
        () => lines.join(""),
        (text) => text.includes('"203.0.113.77"') && text.includes("7777"),
        20_000,
      );
      leaving.abort();
      await reading;
    },
  },
  {
    title: "a host service is there for the VM whose policy names it, and for no other",
    prove: async ({ workplace, worker, stroller }) => {
      const { client } = workplace.daemon;
      const model = "model".padEnd(63, "s"); // as long as a name may be
      await client.call("service.create", { body: { name: model, port: 11_434, target: "127.0.0.1:11434" } });
      try {
        await worker.setPolicy({ ...workerPolicy, services: [model] });
        const argv = (port: number) => [
          "bash",
          "-c",
          `exec 3<>/dev/tcp/${model}.workfort.internal/${port} && printf 'GET /v1 HTTP/1.1\\r\\nHost: model\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3`,
        ];
        const reads = async (guest: Guest, port: number): Promise<string> => {
          let text = "";
          await runProcess(
            client,
            guest.name,
            { argv: argv(port) },
            { onStdout: (bytes) => void (text += Buffer.from(bytes).toString()) },
          );
          return text;
        };
        assert.match(await reads(worker, 11_434), /"path":"\/v1"/);
        await workplace.internet.forget();
        assert.equal(await reads(stroller, 11_434), "");
        assert.equal(await reads(worker, 22), "");
        assert.deepEqual(await workplace.internet.host.ask.seen(), []);
      } finally {
        await client.call("service.delete", { params: { service: model } });
        await worker.setPolicy(workerPolicy);
      }
      const [gone] = await worker.tries(tcp("10.213.0.1", 11_434));
      assert.ok(refusals.includes(gone?.what ?? ""));
    },
  },
];
