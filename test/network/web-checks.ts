import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { addresses, clientHello, http, readHelloAnswer, tcp, udp, type Outcome } from "@workfort/testing";
import { assertLogged, assertUnseen, refusals, workerPolicy, type Proof } from "./proof.ts";

const { shared, elsewhere, forbidden } = addresses.places;

/** a hello for a name, and the first bytes of what comes back */
const hello = (options: Parameters<typeof clientHello>[0], address: string = shared.ipv4) =>
  tcp(address, 443, { send: clientHello(options), wanted: 7 });
const request = (text: string, address: string = shared.ipv4) => tcp(address, 80, { send: text, wanted: -1 });
const status = (outcome: Outcome | undefined): string => /^HTTP\/1\.[01] (\d+)/.exec(outcome?.text ?? "")?.[1] ?? "";

/** access_denied, the alert for a name that is not allowed (RFC 8446, section 6.2) */
const denied = "alert 49";

/** Ports 80 and 443 in mode `allow`, where an address is shared by many names. */
export const webProofs: readonly Proof[] = [
  {
    title: "an allowed name is reached on 80 and 443, over IPv4 and IPv6, wherever the guest said it wanted to go",
    core: true,
    prove: async ({ workplace, worker }) => {
      const outcomes = await worker.tries(
        http(shared.ipv4, "allowed.test"),
        http(shared.ipv6, "allowed.test"),
        http(forbidden.ipv4, "allowed.test"),
        hello({ name: "allowed.test" }),
        hello({ name: "allowed.test" }, shared.ipv6),
        hello({ name: "allowed.test" }, "203.0.113.99"),
      );
      assert.deepEqual(outcomes.slice(0, 3).map(status), ["200", "200", "200"]);
      assert.deepEqual(
        outcomes.slice(3).map(({ bytes }) => readHelloAnswer(bytes)),
        ["hello", "hello", "hello"],
      );
      await assertUnseen(workplace, { to: [forbidden.ipv4, "203.0.113.99"] });
    },
  },
  {
    title: "TLS goes through untouched: the guest sees the server's own certificate and checks it",
    prove: async ({ workplace, worker }) => {
      const { daemon, internet } = workplace;
      const authority = await fs.readFile(internet.authority, "utf8");
      await daemon.client.call("vm.exec", {
        params: { vm: worker.name },
        body: { argv: ["tee", "/tmp/ca.pem"], stdin: authority },
      });
      const said = await worker.sh(
        "echo | openssl s_client -connect allowed.test:443 -servername allowed.test -verify_hostname allowed.test -CAfile /tmp/ca.pem -verify_return_error -brief 2>&1",
      );
      assert.match(said, /Verification: OK/);
    },
  },
  {
    title: "another name on the same address is not: 403 that says so, a fatal alert, and the server sees nothing",
    core: true,
    prove: async ({ workplace, worker }) => {
      const after = await workplace.lastDenial();
      const [page, secure, six] = await worker.tries(
        http(shared.ipv4, "forbidden.test"),
        hello({ name: "forbidden.test" }),
        hello({ name: "forbidden.test" }, shared.ipv6),
      );
      assert.ok(page && secure && six);
      assert.equal(status(page), "403");
      assert.match(page.text, /forbidden\.test[^]*policy/, "it says what and why");
      assert.deepEqual([readHelloAnswer(secure.bytes), readHelloAnswer(six.bytes)], [denied, denied]);
      await assertUnseen(workplace, { name: "forbidden" });
      await assertLogged(worker, after, { kind: "http", name: "forbidden.test", port: 80 });
      await assertLogged(worker, after, { kind: "tls", name: "forbidden.test", port: 443 });
    },
  },
  {
    title:
      "tricks with Host do not pass: a second request, two Hosts, a whole URL, none, an address, CONNECT, h2c, smuggling",
    prove: async ({ workplace, worker }) => {
      const bad = "Host: forbidden.test\r\n";
      const good = "Host: allowed.test\r\n";
      const first = `GET /first HTTP/1.1\r\n${good}\r\n`;
      const tricks = {
        "a second request of the connection": [first, `GET /x HTTP/1.1\r\n${bad}\r\n`],
        "a pipelined one": `${first}GET /x HTTP/1.1\r\n${bad}\r\n`,
        "one behind a body": `POST / HTTP/1.1\r\n${good}Content-Length: 2\r\n\r\nokGET /x HTTP/1.1\r\n${bad}\r\n`,
        "two Hosts": `GET /x HTTP/1.1\r\n${good}${bad}\r\n`,
        "two Hosts, the other way": `GET /x HTTP/1.1\r\n${bad}${good}\r\n`,
        "a whole URL": `GET http://forbidden.test/x HTTP/1.1\r\n${good}\r\n`,
        "a folded Host": `GET /x HTTP/1.1\r\nHost:\r\n forbidden.test\r\n\r\n`,
        "a Host with a space before the colon": `GET /x HTTP/1.1\r\n${good}Host : forbidden.test\r\n\r\n`,
        "no Host": "GET /x HTTP/1.0\r\n\r\n",
        "an address": `GET /x HTTP/1.1\r\nHost: ${shared.ipv4}\r\n\r\n`,
        "a name and another by @": "GET /x HTTP/1.1\r\nHost: allowed.test@forbidden.test\r\n\r\n",
        CONNECT: "CONNECT forbidden.test:443 HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        h2c: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "length and chunks at once": `POST /x HTTP/1.1\r\n${good}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n${bad}\r\n`,
        "a bare line feed": `GET / HTTP/1.1\n${good.trim()}\n\nGET /x HTTP/1.1\n${bad.trim()}\n\n`,
      };
      const outcomes = await worker.tries(
        ...Object.values(tricks).map((send) => tcp(shared.ipv4, 80, { send, timeoutMs: 2_000 })),
      );
      for (const [index, trick] of Object.keys(tricks).entries())
        assert.doesNotMatch(outcomes[index]?.text ?? "", /"path":"\/x"/, trick);
      await assertUnseen(workplace, { name: "forbidden" });
      const seen = await workplace.internet.outside.ask.seen();
      assert.deepEqual(
        seen.filter(({ text }) => text.includes("/x")),
        [],
      );
    },
  },
  {
    title:
      "an allowed name is one however it is written: capitals, a dot at its end, a port; many requests of a connection",
    prove: async ({ worker }) => {
      const outcomes = await worker.tries(
        http(shared.ipv4, "ALLOWED.test"),
        http(shared.ipv4, "allowed.test."),
        http(shared.ipv4, "allowed.test:80"),
        request(
          "GET /1 HTTP/1.1\r\nHost: allowed.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: www.allowed.test\r\nConnection: close\r\n\r\n",
        ),
        hello({ name: "ALLOWED.test" }),
        hello({ name: "allowed.test", recordBytes: 11 }),
      );
      assert.deepEqual(outcomes.slice(0, 3).map(status), ["200", "200", "200"]);
      assert.match(outcomes[3]?.text ?? "", /"path":"\/1"[^]*"path":"\/2"/);
      assert.deepEqual(
        outcomes.slice(4).map(({ bytes }) => readHelloAnswer(bytes)),
        ["hello", "hello"],
      );
    },
  },
  {
    title:
      "tricks with SNI do not pass: none, torn apart over records and packets, an address, bytes that are no hello",
    prove: async ({ workplace, worker }) => {
      const torn = clientHello({ name: "forbidden.test", recordBytes: 7 });
      const outcomes = await worker.tries(
        hello({ name: null }),
        tcp(shared.ipv4, 443, { send: [torn.subarray(0, 40), torn.subarray(40, 90), torn.subarray(90)], wanted: 7 }),
        hello({ name: shared.ipv4 }),
        hello({ name: "forbidden.test\0.allowed.test" }),
        tcp(shared.ipv4, 443, { send: "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", wanted: 7 }),
        tcp(shared.ipv4, 443, { send: Buffer.alloc(70_000, 22), wanted: 7 }),
      );
      for (const { bytes, text } of outcomes) {
        assert.notEqual(readHelloAnswer(bytes), "hello");
        assert.doesNotMatch(text, /^HTTP\/1.1 2/);
      }
      await assertUnseen(workplace, { to: [shared.ipv4, shared.ipv6], port: 443 });
    },
  },
  {
    title: "an encrypted ClientHello is judged by its outer name, or refused where the policy says so",
    prove: async ({ workplace, worker }) => {
      const both = [
        hello({ name: "allowed.test", encrypted: true }),
        hello({ name: "forbidden.test", encrypted: true }),
      ];
      const accepted = await worker.tries(...both);
      assert.deepEqual(
        accepted.map(({ bytes }) => readHelloAnswer(bytes)),
        ["hello", denied],
      );
      const after = await workplace.lastDenial();
      await workplace.internet.forget();
      await worker.setPolicy({ ...workerPolicy, encryptedClientHello: "refuse" });
      const refused = await worker.tries(...both, hello({ name: "allowed.test" }));
      await worker.setPolicy(workerPolicy);
      assert.deepEqual(
        refused.map(({ bytes }) => readHelloAnswer(bytes)),
        [denied, denied, "hello"],
      );
      await assertLogged(worker, after, { kind: "tls", name: "allowed.test" });
    },
  },
  {
    title: "an address entry opens its address on its port and protocol, and no other; QUIC is closed",
    prove: async ({ workplace, worker }) => {
      const after = await workplace.lastDenial();
      const [four, six, other, datagram, quic] = await worker.tries(
        tcp(elsewhere.ipv4, 4000, { send: "hello", wanted: 5 }),
        tcp(elsewhere.ipv6, 4000, { send: "hello", wanted: 5 }),
        tcp(elsewhere.ipv4, 5432),
        udp(elsewhere.ipv4, 4000, "hello"),
        udp(shared.ipv4, 443, "quic"),
      );
      assert.deepEqual([four?.text, six?.text], ["hello", "hello"]);
      for (const outcome of [other, datagram, quic])
        assert.ok(refusals.includes(outcome?.what ?? ""), JSON.stringify(outcome));
      await assertUnseen(workplace, { to: [elsewhere.ipv4], port: 5432 });
      await assertUnseen(workplace, { to: [shared.ipv4], port: 443 });
      await assertLogged(worker, after, { kind: "packet", address: shared.ipv4, port: 443, protocol: "udp" });
    },
  },
];
