import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { GuestLine } from "./guest-line.ts";
import { Refusal, systemWords } from "./refusal.ts";

/**
 * Firecracker's vsock socket: CONNECT is passed on to what the guest is reached by (guest-line.ts).
 *
 * A connection waits without an answer until the guest's driver is up, and while the VM is paused. Whoever has waited for
 * the driver finds nobody at the port and is hung up on: the agent is not up yet then (so did 1.15.1 in the lab).
 */
const firstHostPort = 2 ** 30;
/** what the first read must hold at least, `CONNECT 1\n`, and the longest line */
const minLineBytes = 10;
const maxLineBytes = 32;
const maxPathBytes = 107;

export class VsockSocket {
  readonly #server: Server;
  readonly #isLost: boolean;
  #line: GuestLine | null = null;
  #isFrozen = false;
  readonly #waiting = new Set<Socket>();
  readonly #bridges = new Set<Bridge>();
  #hostPort = firstHostPort;

  private constructor(isLost: boolean) {
    this.#isLost = isLost;
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Binds the path, which stays behind. */
  static async bind(path: string, isLost: boolean): Promise<VsockSocket> {
    const refuse = (why: string): Refusal =>
      new Refusal(
        `Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: ${why}`,
      );
    if (Buffer.byteLength(path) > maxPathBytes) throw refuse("path must be shorter than SUN_LEN");
    if (!existsSync(dirname(path))) throw refuse(systemWords({ code: "ENOENT" }));
    const vsock = new VsockSocket(isLost);
    vsock.#server.listen(path);
    try {
      await once(vsock.#server, "listening");
    } catch (error) {
      throw refuse(systemWords(error));
    }
    return vsock;
  }

  /** Closes and removes it. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
    await once(this.#server, "close");
  }

  /** The guest can be reached from now on; one that has been loaded listens at its ports already. */
  serve(line: GuestLine, { isLoaded }: { isLoaded: boolean }): void {
    this.#line = line;
    if (isLoaded) return this.#admit();
    for (const socket of this.#waiting) {
      this.#nextHostPort();
      socket.destroy();
    }
    this.#waiting.clear();
  }

  /**
   * Ends the guest's end of every connection, as its driver does when a snapshot has reset the device. The host is not
   * told before it sends something that nobody has a socket for (so did 1.15.1 in the lab).
   */
  cut(): void {
    for (const bridge of this.#bridges) bridge.cut();
  }

  freeze(): void {
    this.#isFrozen = true;
    for (const bridge of this.#bridges) bridge.stop();
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const bridge of this.#bridges) bridge.flow();
    this.#admit();
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#isLost) return void socket.destroy();
    this.#waiting.add(socket);
    this.#admit();
  }

  #admit(): void {
    if (this.#line === null || this.#isFrozen) return;
    for (const socket of this.#waiting) void this.#connect(socket, this.#line);
    this.#waiting.clear();
  }

  async #connect(socket: Socket, line: GuestLine): Promise<void> {
    const gone = new AbortController();
    socket.on("end", () => socket.destroy());
    socket.on("close", () => gone.abort());
    const [first] = (await Promise.race([once(socket.resume(), "data"), once(gone.signal, "abort")])) as [
      Buffer | Event,
    ];
    await seeHangUp();
    if (!Buffer.isBuffer(first) || socket.destroyed) return;
    const request = connectLine(first);
    const hostPort = this.#nextHostPort();
    const guest = request === null ? null : await line.open(request.port);
    if (request === null || guest === null || socket.destroyed) {
      guest?.destroy();
      return void socket.destroy();
    }
    socket.pause();
    socket.write(`OK ${hostPort}\n`);
    if (request.rest.length > 0) socket.unshift(request.rest);
    const bridge = new Bridge(socket, guest);
    this.#bridges.add(bridge);
    socket.once("close", () => this.#bridges.delete(bridge));
    if (!this.#isFrozen) bridge.flow();
  }

  #nextHostPort(): number {
    const port = this.#hostPort;
    this.#hostPort = port + 1 < 2 ** 31 ? port + 1 : firstHostPort;
    return port;
  }
}

/**
 * Bytes in both directions; the end of either is the end of both, since vsock has no half-closed connections here. A
 * guest that stands still learns of nothing.
 */
class Bridge {
  readonly #host: Socket;
  readonly #guest: Socket;
  #isFrozen = true;
  #isCut = false;

  constructor(host: Socket, guest: Socket) {
    this.#host = host.on("close", () => this.#end());
    this.#guest = guest.on("error", () => {}).on("close", () => this.#isCut || host.destroy());
    guest.on("end", () => this.#isCut || host.end());
  }

  flow(): void {
    this.#isFrozen = false;
    if (this.#host.destroyed) return this.#end();
    if (this.#isCut) return void this.#host.once("data", () => this.#host.destroy()).resume();
    this.#host.pipe(this.#guest);
    this.#guest.pipe(this.#host);
  }

  stop(): void {
    this.#isFrozen = true;
    this.#host.unpipe(this.#guest).pause();
    this.#guest.unpipe(this.#host).pause();
  }

  cut(): void {
    const flows = !this.#isFrozen && !this.#isCut;
    this.stop();
    this.#isCut = true;
    this.#guest.destroy();
    if (flows) this.flow();
  }

  #end(): void {
    if (!this.#isFrozen) this.#guest.destroy();
  }
}

/** Null where the first read does not hold a whole line. */
function connectLine(first: Buffer): { port: number; rest: Buffer } | null {
  const end = first.subarray(0, maxLineBytes).indexOf("\n");
  if (first.length < minLineBytes || end < 0) return null;
  const port = /^connect +(\d+)\s*$/i.exec(first.toString("latin1", 0, end))?.[1];
  return port === undefined || Number(port) > 0xffff_ffff
    ? null
    : { port: Number(port), rest: first.subarray(end + 1) };
}

/** A client that has hung up meanwhile takes nobody's place. */
async function seeHangUp(): Promise<void> {
  for (let turns = 0; turns < 2; turns += 1) await new Promise((next) => setImmediate(next));
}
