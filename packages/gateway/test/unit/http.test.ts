import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { ByteReader } from "../../src/check/byte-reader.ts";
import { parseAnswer } from "../../src/check/http-answer.ts";
import { readHead, relayBody } from "../../src/check/http-body.ts";
import { HttpRefusal } from "../../src/check/http-head.ts";
import { parseRequest, type HttpRequest } from "../../src/check/http-request.ts";

const head = (...lines: string[]): string => lines.join("\r\n");
const get: HttpRequest = parseRequest(head("GET / HTTP/1.1", "Host: a.example"));

test("a request is read as it is meant", () => {
  const request = parseRequest(
    head("POST /x HTTP/1.1", "host: A.Example:80", "Content-Length: 12", "Connection: close"),
  );
  assert.deepEqual(
    { ...request, head: "" },
    {
      method: "POST",
      target: "/x",
      host: "a.example",
      body: { kind: "length", bytes: 12 },
      keepAlive: false,
      upgrade: false,
      head: "",
    },
  );
  assert.equal(parseRequest(head("GET / HTTP/1.1", "Host: [2001:db8::1]")).host, "2001:db8::1");
  assert.equal(parseRequest(head("OPTIONS * HTTP/1.1", "Host: a.example")).target, "*");
  assert.equal(parseRequest(head("GET / HTTP/1.0", "Host: a.example")).keepAlive, false);
  assert.equal(parseRequest(head("GET / HTTP/1.1", "Host: a.example", "Upgrade: websocket")).upgrade, true);
});

test("an offer of HTTP/2 is taken out, with what belongs to it", () => {
  const request = parseRequest(
    head(
      "GET / HTTP/1.1",
      "Host: a.example",
      "Connection: Upgrade, HTTP2-Settings, x",
      "Upgrade: h2c",
      "HTTP2-Settings: AA",
    ),
  );
  assert.equal(request.head, head("GET / HTTP/1.1", "host: a.example", "connection:  x"));
  assert.equal(request.upgrade, false);
});

test("text of any kind is a request or refused, and what is passed on has one host", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "Host: a.example",
      "Host: b.example",
      "Content-Length: 3",
      "Transfer-Encoding: chunked",
      " x",
      "x",
      "",
    ),
    fc.string(),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );
  const first = fc.oneof(fc.constantFrom("GET / HTTP/1.1", "GET http://a.example/ HTTP/1.1", "PRI * HTTP/2.0"), line);
  const separator = fc.constantFrom("\r\n", "\r\n", "\r\n", "\n", "\r");
  fc.assert(
    fc.property(first, fc.array(line, { maxLength: 6 }), separator, (first, lines, separator) => {
      try {
        const request = parseRequest([first, ...lines].join(separator));
        assert.equal(request.head.match(/^host *:/gim)?.length, 1);
        assert.doesNotMatch(request.head, /(^|[^\r])\n|\r([^\n]|$)/);
      } catch (error) {
        assert.ok(error instanceof HttpRefusal, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("an answer's end is found, or it lasts until its server closes", () => {
  const of = (...lines: string[]): unknown => parseAnswer(head(...lines), get);
  const close = { body: { kind: "close" }, keepAlive: false };
  assert.deepEqual(of("HTTP/1.1 200 OK", "Content-Length: 3"), {
    status: 200,
    body: { kind: "length", bytes: 3 },
    keepAlive: true,
  });
  assert.deepEqual(of("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"), {
    status: 200,
    body: { kind: "chunked" },
    keepAlive: true,
  });
  assert.deepEqual(of("HTTP/1.1 204 No"), { status: 204, body: { kind: "none" }, keepAlive: true });
  assert.deepEqual(of("HTTP/1.1 200 OK"), { status: 200, ...close });
  assert.deepEqual(of("HTTP/1.1 200 OK", "Content-Length: 3", "Content-Length: 4"), { status: 200, ...close });
  assert.deepEqual(of("HTTP/1.1 200 OK", "Content-Length: 3", "Transfer-Encoding: chunked"), { status: 200, ...close });
  assert.deepEqual(of("ICY 200 OK"), { status: 0, ...close });
  assert.deepEqual(of("HTTP/1.1 200 OK", " folded"), { status: 0, ...close });
  assert.deepEqual(parseAnswer(head("HTTP/1.1 200 OK", "Content-Length: 3"), { ...get, method: "HEAD" }), {
    status: 200,
    body: { kind: "none" },
    keepAlive: true,
  });
  fc.assert(fc.property(fc.string(), (text) => void parseAnswer(text, get)));
});

/** Two ends of one TCP connection. */
async function pair(t: TestContext): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [far] = (await once(server, "connection")) as [Socket];
  server.close();
  t.after(() => [near, far].forEach((socket) => socket.destroy()));
  for (const socket of [near, far]) socket.on("error", () => {});
  return [near, far];
}

/** Gathers what is passed on. */
function sink(): { socket: Socket; text: () => string } {
  let text = "";
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      text += chunk.toString("latin1");
      done();
    },
  });
  return { socket: socket as unknown as Socket, text: () => text };
}

test("a body is passed on to its last byte and no further, however it comes", async (t) => {
  const [near, far] = await pair(t);
  const reader = new ByteReader(far);
  const chunked = '3\r\nabc\r\na;x="y"\r\n0123456789\r\n0\r\nT: u\r\n\r\n';
  near.end(`GET / HTTP/1.1\r\n\r\n${chunked}hello\r\n\r\nX\r\n\r\n`);
  assert.equal(await readHead(reader), "GET / HTTP/1.1");
  const out = sink();
  await relayBody(reader, out.socket, { kind: "chunked" });
  assert.equal(out.text(), chunked);
  await relayBody(reader, out.socket, { kind: "length", bytes: 5 });
  assert.equal(out.text(), `${chunked}hello`);
  assert.equal(await readHead(reader), "X");
  assert.equal(await readHead(reader), null);
});

test("chunks that are none are given up, and lines have a bound", async (t) => {
  const bad = [
    "x\r\n",
    "5\nhello\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nab",
    "-3\r\nabc",
    `1;${"x".repeat(5000)}\r\na`,
    "0\r\nx: y\n\r\n",
  ];
  for (const text of [
    ...bad,
    `0\r\n${"x: y\r\n".repeat(5000)}\r\n`,
    "1000000000000000\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3\r\r\nabc\r\n",
  ]) {
    const [near, far] = await pair(t);
    near.end(text);
    await assert.rejects(relayBody(new ByteReader(far), sink().socket, { kind: "chunked" }), Error, text);
  }
});

test("a head has a bound, and costs the same byte by byte", async (t) => {
  const [near, far] = await pair(t);
  const reading = readHead(new ByteReader(far));
  near.on("error", () => {});
  const flood = setInterval(() => near.write("x".repeat(5000)), 0);
  t.after(() => clearInterval(flood));
  await assert.rejects(reading, /too long/);
});
