import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { Refusal, systemWords } from "./refusal.ts";

/**
 * Firecracker's vsock socket. CONNECT is *bridged to virtio-serial*, since QEMU has no vsock under software emulation:
 * the one port of the guest agent can be reached, by one connection at a time, and the guest can call nobody.
 *
 * A connection waits without an answer until the agent serves, and while the VM is paused.
 */
const agentPort = 7300;
const firstHostPort = 2 ** 30;
/** what the first read must hold at least, `CONNECT 1\n`, and the longest line */
const minLineBytes = 10;
const maxLineBytes = 32;
const maxPathBytes = 107;

/** Opens a stream to the agent; rejects when the signal fires. */
export type OpenAgent = (signal: AbortSignal) => Promise<Socket>;

export class VsockSocket {
  readonly #server: Server;
  readonly #isLost: boolean;
  #openAgent: OpenAgent | null = null;
  #isFrozen = false;
  #waiting = new Set<Socket>();
  #bridge: Bridge | null = null;
  #isTaken = false;
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

  /** The agent serves from now on. */
  serve(openAgent: OpenAgent): void {
    this.#openAgent = openAgent;
    this.#admit();
  }

  freeze(): void {
    this.#isFrozen = true;
    this.#bridge?.stop();
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#bridge?.flow();
    this.#admit();
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#isLost) return void socket.destroy();
    this.#waiting.add(socket);
    this.#admit();
  }

  #admit(): void {
    if (this.#openAgent === null || this.#isFrozen) return;
    for (const socket of this.#waiting) void this.#connect(socket, this.#openAgent);
    this.#waiting.clear();
  }

  async #connect(socket: Socket, openAgent: OpenAgent): Promise<void> {
    const gone = new AbortController();
    socket.on("end", () => socket.destroy());
    socket.on("close", () => gone.abort());
    const [first] = (await Promise.race([once(socket.resume(), "data"), once(gone.signal, "abort")])) as [
      Buffer | Event,
    ];
    await seeHangUp();
    if (!Buffer.isBuffer(first) || socket.destroyed) return;
    const line = connectLine(first);
    if (line?.port !== agentPort || this.#isTaken) return void socket.destroy();
    this.#isTaken = true;
    socket.on("close", () => (this.#isTaken = false));
    const agent = await openAgent(gone.signal).catch(() => null);
    if (agent === null || socket.destroyed) {
      agent?.destroy();
      return void socket.destroy();
    }
    socket.pause();
    socket.write(`OK ${this.#hostPort}\n`);
    this.#hostPort = this.#hostPort + 1 < 2 ** 31 ? this.#hostPort + 1 : firstHostPort;
    if (line.rest.length > 0) socket.unshift(line.rest);
    this.#bridge = new Bridge(socket, agent);
    if (!this.#isFrozen) this.#bridge.flow();
    socket.once("close", () => (this.#bridge = null));
  }
}

/** Bytes in both directions; the end of either is the end of both, since vsock has no half-closed connections here. */
class Bridge {
  readonly #one: Socket;
  readonly #other: Socket;

  constructor(one: Socket, other: Socket) {
    this.#one = one;
    this.#other = other;
    one.on("close", () => other.destroy());
    other.on("end", () => one.end());
    other.on("close", () => one.destroy());
  }

  flow(): void {
    this.#one.pipe(this.#other);
    this.#other.pipe(this.#one);
  }

  stop(): void {
    this.#one.unpipe(this.#other).pause();
    this.#other.unpipe(this.#one).pause();
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
