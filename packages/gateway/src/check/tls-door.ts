import { plainName } from "@workfort/core/network/policy-entry.ts";
import { parseAddress } from "@workfort/core/network/ip.ts";
import type { Denials } from "../denials/denials.ts";
import type { Resolver } from "../dns/resolver.ts";
import { tlsCheckPort } from "../rules/base-rules.ts";
import { ByteReader } from "./byte-reader.ts";
import { HelloReader, maxHelloBytes, type ClientHello } from "./client-hello.ts";
import type { Doorkeeper } from "./doorway.ts";
import { splice } from "./splice.ts";
import { allowsHost, connectTo, TargetError } from "./target.ts";
import type { Visit } from "./visit.ts";

const tlsPort = 443;
/** for the whole hello, ms */
const helloMs = 15_000;
/** a guest that has been refused reads why, ms */
const farewellMs = 2_000;
/** TLS alerts (RFC 8446 6) */
const alert = { accessDenied: 49, internalError: 80 } as const;

/** Port 443: reads the name that a TLS connection begins with, and passes the connection on, unread, to that name. */
export function tlsDoor(resolver: Resolver, denials: Denials): Doorkeeper {
  return {
    port: tlsCheckPort,
    judge: (policy, { target }) =>
      policy.mode !== "none" &&
      (target === null ||
        (allowsHost(policy, target.host, tlsPort) && !(target.encryptedHello && policy.refusesEncryptedHello))),
    serve: async (visit) => await serve(visit, resolver, denials),
  };
}

async function serve(visit: Visit, resolver: Resolver, denials: Denials): Promise<void> {
  const { socket, guest } = visit;
  const reader = new ByteReader(socket);
  const hello = await helloOf(visit, reader);
  if (hello === null) return;
  const refuse = async (reason: string, name: string | null): Promise<void> => {
    denials.add(guest, { kind: "tls", name, address: null, port: tlsPort, protocol: "tcp", reason });
    await sayAlert(visit, reader, alert.accessDenied);
  };
  if ("wrong" in hello) return await refuse(hello.wrong, null);
  const { serverName, encryptedHello } = hello;
  if (serverName === null) return await refuse("the connection names no server (SNI)", null);
  const host = parseAddress(serverName) === null ? plainName(serverName) : serverName;
  if (host === null) return await refuse("the server's name (SNI) is none", serverName);
  if (!allowsHost(guest.policy, host, tlsPort)) return await refuse("the policy does not name it", host);
  if (encryptedHello && guest.policy.refusesEncryptedHello)
    return await refuse("the policy refuses connections whose true name is encrypted (ECH)", host);
  visit.target = { host, encryptedHello };
  try {
    visit.upstream = await connectTo(host, tlsPort, guest, resolver);
  } catch (error) {
    if (error instanceof TargetError && error.denied) return await refuse(error.message, host);
    return await sayAlert(visit, reader, alert.internalError);
  }
  if (socket.destroyed || !visit.allowed(guest.policy)) return;
  reader.release();
  await splice(socket, visit.upstream);
}

async function helloOf(visit: Visit, reader: ByteReader): Promise<ClientHello | { wrong: string } | null> {
  const timer = setTimeout(() => visit.end(), helloMs);
  const hellos = new HelloReader();
  try {
    for (let read = 0; read < maxHelloBytes;) {
      if (!(await reader.more())) return null;
      const hello = hellos.push(Buffer.from(reader.held.subarray(read)));
      if (hello !== null) return hello;
      read = reader.held.length;
    }
    return { wrong: "its ClientHello is too long" };
  } finally {
    clearTimeout(timer);
  }
}

/** Refuses in the words of TLS, so that the client can say so. */
async function sayAlert({ socket }: Visit, reader: ByteReader, description: number): Promise<void> {
  socket.end(Buffer.from([21, 3, 3, 0, 2, 2, description]));
  const timer = setTimeout(() => socket.destroy(), farewellMs);
  while (await reader.more()) reader.take(reader.held.length); // a connection with unread bytes would be reset
  clearTimeout(timer);
}
