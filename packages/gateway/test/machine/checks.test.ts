import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { eventually } from "@workfort/testing";
import { converse, serveEcho } from "../lab/ask.ts";
import { helloMessage, inRecords } from "../lab/hello.ts";
import { internet, Lab } from "../lab/lab.ts";
import type { Namespace } from "../lab/namespace.ts";
import { serveNames, serveWeb } from "../lab/servers.ts";

/** What is let through on ports 80 and 443 by name, and how the rest is refused. */
let lab: Lab;
let inside: Namespace;
let vm: GatewayVm;
const [web, other] = internet.web;
/** where guests say they want to go; nobody listens there, and it does not count */
const nowhere = "198.51.100.77";

before(async () => {
  lab = await Lab.make();
  await serveNames(lab.internet, internet.ipv4, {
    "good.example": { addresses: [web] },
    "good6.example": { addresses: [internet.web6] },
    "other.example": { addresses: [other] },
    "private.example": { addresses: [internet.private] },
    "gateway.example": { addresses: ["10.213.0.1", "203.0.113.2", "127.0.0.1"] },
    "closed.example": { addresses: [internet.ipv4] },
    "evil.example": { addresses: [web] },
  });
  await serveWeb(lab.internet, [web, other, internet.web6, internet.private]);
  await serveEcho(
    lab.internet,
    [web, other, internet.web6].map((address) => ({ address, port: 443 })),
  );
  await lab.put();
  const names = ["good", "good6", "other", "private", "gateway", "closed", "missing"].map((name) => `${name}.example`);
  ({ inside, vm } = await lab.guest({ mode: "allow", allow: names }));
});
after(async () => {
  assert.equal(lab.gateway.errors, "");
  await lab.remove();
});

const get = (host: string, more = ""): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
const http = async (send: string | string[], until = ">"): Promise<string> =>
  await converse(inside, { address: nowhere, port: 80, send: [send].flat(), until });
const status = (text: string): string => /^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? text;

test("a request goes to where its Host leads by our DNS, wherever the guest meant to go", async () => {
  assert.match(await http(get("good.example")), /<198\.51\.100\.10 GET good\.example \/ 0>/);
  assert.match(await http(get("GOOD.example.:80")), /<198\.51\.100\.10 /);
  assert.match(await http(get("good6.example")), /<2001:db8:100::10 GET good6\.example/);
  assert.match(
    await http("GET http://good.example/x?y HTTP/1.1\r\nHost: good.example\r\n\r\n"),
    /<198\.51\.100\.10 GET/,
  );
  assert.match(await http("GET / HTTP/1.0\r\nHost: other.example\r\n\r\n"), /<198\.51\.100\.11 GET other\.example/);
  const over6 = await converse(inside, {
    address: "2001:db8:100::77",
    port: 80,
    send: [get("good.example")],
    until: ">",
  });
  assert.match(over6, /<198\.51\.100\.10 GET good\.example/);
});

test("what the policy does not name gets 403 with the reason, and is told", async () => {
  const text = await http(get("evil.example"), "never");
  assert.equal(status(text), "403");
  assert.match(
    text,
    /a request to evil\.example was denied: the policy does not name it \(network policy of VM guest-2/,
  );
  const denials = await lab.gateway.denials(vm.id);
  assert.ok(denials.some(({ kind, name, port }) => kind === "http" && name === "evil.example" && port === 80));
});

test("a name that leads into closed ranges is refused, whoever allows the name", async () => {
  for (const host of ["private.example", "gateway.example"]) {
    const text = await http(get(host), "never");
    assert.equal(status(text), "403", host);
    assert.match(text, /leads to an address that is closed/);
  }
});

test("what cannot be reached is told as that", async () => {
  for (const host of ["missing.example", "closed.example"])
    assert.equal(status(await http(get(host), "never")), "502", host);
});

test("an address as Host counts only by an address entry", async () => {
  for (const host of [web, `[${internet.web6}]`, "3325256714", "0xc6336410"])
    assert.notEqual(status(await http(get(host), "never")), "200", host);
});

test("every request of a connection is judged, and goes to the server of its own name", async () => {
  const text = await http(
    [get("good.example"), get("other.example"), get("good.example"), get("evil.example")],
    "never",
  );
  assert.deepEqual(text.match(/<[^ ]+ GET [^ ]+/g), [
    `<${web} GET good.example`,
    `<${other} GET other.example`,
    `<${web} GET good.example`,
  ]);
  assert.match(text, /HTTP\/1\.1 403.*evil\.example was denied/s);
});

test("bodies pass, of a known length and in chunks, and the next request is found behind them", async () => {
  const sized = `POST /a HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5\r\n\r\nhello`;
  const chunked = `POST /b HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n`;
  const all = `${sized}${chunked}${get("other.example", "Connection: close\r\n")}`;
  for (const send of [[all], all.match(/.{1,7}/gs) ?? []]) {
    const text = await http(send, "never");
    assert.deepEqual(text.match(/<[^>]+>/g), [
      `<${web} POST good.example /a 5>`,
      `<${web} POST good.example /b 7>`,
      `<${other} GET other.example / 0>`,
    ]);
  }
});

test("a request that two readers could read differently is read by nobody", async () => {
  const table: Record<string, string> = {
    "two lengths": "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two equal lengths": "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: +5\r\n\r\nhello",
    "length and chunks":
      "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": "POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": "POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": "POST / HTTP/1.0\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "a host with a user": "GET / HTTP/1.1\r\nHost: evil@good.example\r\n\r\n",
    "a host with a path": "GET / HTTP/1.1\r\nHost: good.example/evil\r\n\r\n",
    "a host with another port": "GET / HTTP/1.1\r\nHost: good.example:8080\r\n\r\n",
    "another host in the target": "GET http://evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n",
    "a user in the target": "GET http://good.example@evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n",
    "a target of https": "GET https://good.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n",
    "a folded line": "GET / HTTP/1.1\r\nHost: good.example\r\n folded\r\n\r\n",
    "a folded host": "GET / HTTP/1.1\r\nHost:\r\n good.example\r\n\r\n",
    "a space before the colon": "GET / HTTP/1.1\r\nHost : good.example\r\n\r\n",
    "a bare LF": "GET / HTTP/1.1\nHost: good.example\r\n\r\n",
    "a bare LF within": "GET / HTTP/1.1\r\nHost: good.example\nX: y\r\n\r\n",
    "a bare CR": "GET / HTTP/1.1\r\nHost: good.example\rX: y\r\n\r\n",
    "a NUL": "GET / HTTP/1.1\r\nHost: good.example\r\nX: a\0b\r\n\r\n",
    "HTTP/0.9": "GET /\r\n\r\n",
    "HTTP/1.2": "GET / HTTP/1.2\r\nHost: good.example\r\n\r\n",
    "two spaces": "GET  / HTTP/1.1\r\nHost: good.example\r\n\r\n",
    CONNECT: "CONNECT good.example:443 HTTP/1.1\r\nHost: good.example\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    TLS: "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n",
    "a head without an end": `GET / HTTP/1.1\r\nHost: good.example\r\nX: ${"x".repeat(70_000)}`,
    "too many fields": `GET / HTTP/1.1\r\nHost: good.example\r\n${"X: y\r\n".repeat(300)}\r\n`,
  };
  const answers = await Promise.all(
    Object.entries(table).map(async ([what, send]) => [what, await http(send, "never")] as const),
  );
  for (const [what, text] of answers) {
    assert.match(status(text), /^(400|405|431|501|505)$/, `${what}: ${text}`);
    assert.match(text, /WorkFort: a request .* was denied: /, what);
    assert.doesNotMatch(text, /<198/, what);
  }
});

test("a broken body ends the connection: what comes behind is no request", async () => {
  const smuggled = get("evil.example");
  for (const body of [
    `5\r\nhello!!${smuggled}`,
    `5\nhello\r\n0\r\n\r\n${smuggled}`,
    `zz\r\n${smuggled}`,
    `-1\r\n${smuggled}`,
  ]) {
    const text = await http(
      `POST / HTTP/1.1\r\nHost: good.example\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
      "never",
    );
    assert.doesNotMatch(text, /evil|<198/, body);
  }
});

test("after an upgrade the connection is a tunnel to that server; without one nothing changes", async () => {
  const upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n";
  const text = await http(
    [get("good.example", upgrade), "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nthe end"],
    "the end",
  );
  assert.match(text, /^HTTP\/1\.1 101 .*\r\n\r\nGET \/ HTTP\/1\.1\r\nHost: evil\.example\r\n\r\nthe end$/s);
  const toHttp2 = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n";
  assert.match(await http(get("good.example", toHttp2)), /^HTTP\/1\.1 200 .*<198\.51\.100\.10 GET good\.example/s);
});

test("a guest that ends its side first has its answer", async () => {
  const send = [get("good.example")];
  assert.match(await converse(inside, { address: nowhere, port: 80, send, end: true }), /<198\.51\.100\.10 GET/);
});

const tls = async (send: Buffer | string[], until?: string): Promise<string> =>
  await converse(inside, {
    address: nowhere,
    port: 443,
    send: Array.isArray(send) ? send : [send.toString("latin1")],
    ...(until === undefined ? {} : { until }),
  });
const accessDenied = "\x15\x03\x03\x00\x02\x02\x31";

test("a TLS connection goes unread to where its SNI leads by our DNS", async () => {
  const message = helloMessage({ serverName: "Good.Example" });
  const whole = inRecords(message).toString("latin1");
  assert.equal(await tls(inRecords(message), whole), `${web}:443 to 203.0.113.2\n${whole}`);
  const six = inRecords(helloMessage({ serverName: "good6.example" }));
  assert.match(await tls(six, "\x16"), /^2001:db8:100::10:443 /);
});

test("a hello in many records and segments is put together, up to a bound", async () => {
  const message = helloMessage({ serverName: "good.example", padding: 3000 });
  for (const recordBytes of [1, 3, 500]) {
    const bytes = inRecords(message, recordBytes).toString("latin1");
    const pieces = recordBytes === 1 ? [bytes] : (bytes.match(/.{1,11}/gs) ?? []);
    assert.ok((await tls(pieces, bytes)).endsWith(bytes), String(recordBytes));
  }
  const large = helloMessage({ serverName: "good.example", padding: 60_000 });
  const tooLarge = inRecords(Buffer.concat([Buffer.from([1, 1, 255, 255]), Buffer.alloc(140_000)]));
  assert.match(await tls(inRecords(large), web), /^198\.51\.100\.10:443/);
  assert.equal(await tls(tooLarge), accessDenied);
});

test("what names no allowed server gets a fatal alert that says so", async () => {
  const bad = {
    "another name": inRecords(helloMessage({ serverName: "evil.example" })),
    "no name": inRecords(helloMessage({})),
    "an address": inRecords(helloMessage({ serverName: web })),
    "a name twice": inRecords(helloMessage({ serverName: "good.example", twice: true })),
    "a NUL": inRecords(helloMessage({ serverName: "good.example\0.evil.example" })),
    "an empty name": inRecords(helloMessage({ serverName: "" })),
    "closed ranges": inRecords(helloMessage({ serverName: "private.example" })),
    "the gateway": inRecords(helloMessage({ serverName: "gateway.example" })),
    "no TLS": Buffer.from("GET / HTTP/1.1\r\nHost: good.example\r\n\r\n"),
    "no hello": inRecords(Buffer.from([2, 0, 0, 4, 1, 2, 3, 4])),
    "an empty record": Buffer.from([22, 3, 1, 0, 0, 22, 3, 1, 0, 0]),
  };
  const answers = await Promise.all(Object.entries(bad).map(async ([what, send]) => [what, await tls(send)] as const));
  for (const [what, text] of answers) assert.equal(text, accessDenied, what);
  const denials = await lab.gateway.denials(vm.id);
  for (const name of ["evil.example", web, "private.example", null])
    assert.ok(
      denials.some((denial) => denial.kind === "tls" && denial.name === name),
      String(name),
    );
});

test("an encrypted hello counts by its outer name, or is refused by the policy", async () => {
  const hello = inRecords(helloMessage({ serverName: "good.example", encryptedHello: true }));
  assert.match(await tls(hello, web), /^198\.51\.100\.10:443/);
  const refusing = await lab.guest({ mode: "allow", allow: ["good.example"], encryptedClientHello: "refuse" });
  const answer = await converse(refusing.inside, { address: nowhere, port: 443, send: [hello.toString("latin1")] });
  assert.equal(answer, accessDenied);
});

test("large streams pass both ways at the speed of the slower end, and ends of one side pass", async () => {
  const hello = inRecords(helloMessage({ serverName: "good.example" })).toString("latin1");
  const bytes = await inside.run(
    async ({ net }, { hello, address }) => {
      const socket = net.connect({ host: address, port: 443, allowHalfOpen: true });
      const chunk = Buffer.alloc(1024 * 1024, "x");
      let received = 0;
      socket.on("data", (data: Buffer) => (received += data.length));
      socket.write(Buffer.from(hello, "latin1"));
      for (let count = 0; count < 32; count += 1)
        if (!socket.write(chunk)) await new Promise((drained) => socket.once("drain", drained));
      socket.end();
      await new Promise((ended) => socket.once("end", ended));
      return received;
    },
    { hello, address: nowhere },
  );
  assert.equal(bytes, `${web}:443 to 203.0.113.2\n`.length + hello.length + 32 * 1024 * 1024);
});

test("another policy is for connections that are there, too: those it does not allow end, others live", async () => {
  const guest = await lab.guest({ mode: "allow", allow: ["good.example", "other.example"] });
  await guest.inside.run(
    async ({ net, kept }, hellos) => {
      for (const [name, hello] of Object.entries(hellos)) {
        const socket = net.connect({ host: "198.51.100.77", port: 443 });
        const state = { text: "", closed: false, socket };
        kept.set(name, state);
        socket.on("error", () => {});
        socket.on("data", (data: Buffer) => (state.text += data.toString("latin1")));
        socket.on("close", () => (state.closed = true));
        socket.write(Buffer.from(hello, "latin1"));
      }
    },
    Object.fromEntries(
      ["good.example", "other.example"].map((name) => [
        name,
        inRecords(helloMessage({ serverName: name })).toString("latin1"),
      ]),
    ),
  );
  const seen = async (): Promise<[string, boolean, boolean][]> =>
    await guest.inside.run(
      ({ kept }) =>
        ["good.example", "other.example"].map((name): [string, boolean, boolean] => {
          const { text, closed } = kept.get(name) as { text: string; closed: boolean };
          return [name, text.includes("\x16"), closed];
        }),
      null,
    );
  await eventually(seen, (states) => states.every(([, echoed]) => echoed));
  await lab.policy(guest.vm, { mode: "allow", allow: ["*.example", "good.example:22"] });
  await lab.policy(guest.vm, { mode: "allow", allow: ["good.example"] });
  await eventually(seen, (states) => states[1]?.[2] === true);
  assert.deepEqual(await seen(), [
    ["good.example", true, false],
    ["other.example", true, true],
  ]);
  await lab.policy(guest.vm, { mode: "none" });
  await eventually(seen, (states) => states[0]?.[2] === true);
});

test("a guest may have so many connections and no more, and leaves room for others", async () => {
  const flooding = await lab.guest({ mode: "allow", allow: ["good.example"] });
  const opened = await flooding.inside.run(async ({ net, kept }) => {
    const open = new Set<object>();
    const sockets = Array.from({ length: 1300 }, () => {
      const socket = net.connect({ host: "198.51.100.77", port: 443 });
      socket.on("error", () => {});
      socket.on("connect", () => open.add(socket));
      socket.on("close", () => open.delete(socket));
      return socket;
    });
    kept.set("sockets", sockets);
    for (let still = 0; still < 20; still += 1) {
      const before = open.size;
      await new Promise((later) => setTimeout(later, 100));
      if (open.size !== before) still = 0;
    }
    return open.size;
  }, null);
  assert.ok(opened <= 1024 && opened > 900, String(opened));
  assert.match(await http(get("good.example")), /<198\.51\.100\.10 GET/);
  await flooding.inside.run(({ kept }) => {
    for (const socket of kept.get("sockets") as { destroy(): void }[]) socket.destroy();
  }, null);
});
