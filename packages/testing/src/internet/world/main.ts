import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, isIPv6, type Server } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { discardPort, type WorldAnswer, type WorldCall, type WorldMethods, type WorldSettings } from "./calls.ts";
import { serveNames, serveNameStream } from "./dns-server.ts";
import { DnsZone } from "./dns-zone.ts";
import { plainAddress, Records } from "./records.ts";
import { makeSecureWebServer, makeWebServer } from "./web-server.ts";

/** The servers of one network namespace; run by ../namespace.ts inside it, and ended with whoever did. */
const zone = new DnsZone();
const records = new Records();

const methods: WorldMethods = {
  ready: () => {},
  start,
  setName: (name, answers) => zone.set(name, answers),
  queries: () => zone.queries,
  seen: () => records.seen,
  openConnections: () => records.open,
  forget: () => {
    records.seen.length = 0;
    zone.queries.length = 0;
  },
};

process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {}); // Ctrl-C is for the tests, which end it in order
process.on("message", (call: WorldCall) => void answer(call));

async function answer({ id, method, words }: WorldCall): Promise<void> {
  const send = (message: WorldAnswer): void => void process.send?.(message);
  try {
    const run = methods[method] as (...words: unknown[]) => unknown;
    send({ id, result: await run(...words) });
  } catch (error) {
    send({ id, error: String(error) });
  }
}

async function start(settings: WorldSettings): Promise<void> {
  const { certificates, sites } = settings;
  for (const port of settings.httpPorts) await listen(makeWebServer(records, zone, sites), port);
  for (const port of settings.echoPorts) await listen(echoServer(), port);
  await listen(discardServer(), discardPort);
  for (const address of settings.resolvers) await serveNames(zone, address);
  for (const address of settings.datagrams.addresses)
    for (const port of settings.datagrams.ports) await echoDatagrams(address, port);
  if (certificates === null) return;
  for (const port of settings.tlsPorts) await listen(makeSecureWebServer(records, zone, sites, certificates), port);
  await listen(nameServerOverTls(certificates), 853);
}

/** Listens on every address that the namespace has. */
async function listen(server: Server, port: number): Promise<void> {
  await once(server.listen(port, "::"), "listening");
}

function echoServer(): Server {
  return createServer((socket) => {
    records.connected(socket);
    socket.pipe(socket);
  });
}

/** Takes all that comes, and says at its end how many bytes that were. */
function discardServer(): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    records.connected(socket);
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
    socket.on("end", () => socket.end(`${bytes}\n`));
  });
}

async function echoDatagrams(address: string, port: number): Promise<void> {
  const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", ipv6Only: isIPv6(address) });
  socket.on("message", (message, from) => {
    records.push({ kind: "datagram", address, port, from: from.address, name: "", text: message.toString("latin1") });
    socket.send(message, from.port, from.address);
  });
  socket.bind(port, address);
  await once(socket, "listening");
}

function nameServerOverTls(directory: string): Server {
  const [key, cert] = ["key", "pem"].map((ending) => readFileSync(join(directory, `resolver.test.${ending}`)));
  const server = createTlsServer({ key, cert }, (socket) =>
    serveNameStream(zone, socket, "tls", plainAddress(socket.localAddress)),
  );
  server.on("connection", (socket) => records.connected(socket));
  server.on("tlsClientError", () => {});
  return server;
}
