import type { Namespace } from "./namespace.ts";

/** What guests do, and what answers them. */

/** Servers of TCP that say who they are and who has come, then echo; of UDP that echo. */
export async function serveEcho(inside: Namespace, places: { address: string; port: number }[]): Promise<void> {
  await inside.run(async ({ net, dgram, kept }, places) => {
    for (const { address, port } of places) {
      const server = net.createServer({ allowHalfOpen: true }, (socket) => {
        socket.on("error", () => {});
        socket.write(`${address}:${port} to ${socket.remoteAddress}\n`);
        socket.pipe(socket);
      });
      await new Promise<void>((resolve, reject) => {
        server.on("error", reject);
        server.listen(port, address, resolve);
      });
      const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
      socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
      await new Promise<void>((resolve) => socket.bind(port, address, resolve));
      kept.set(`${address} ${port}`, { server, socket });
    }
  }, places);
}

/** The first bytes of a connection after `send`, or the code of the error. */
export async function tcp(
  inside: Namespace,
  target: { address: string; port: number; send?: string; from?: string },
): Promise<string> {
  return await inside.run(async ({ net }, { address, port, send, from }) => {
    const socket = net.connect({ host: address, port, ...(from === undefined ? {} : { localAddress: from }) });
    return await new Promise<string>((resolve) => {
      const timer = setTimeout(() => (resolve("TIMEOUT"), socket.destroy()), 5000);
      socket.on("connect", () => send !== undefined && socket.write(send));
      socket.on("data", (chunk: Buffer) => {
        clearTimeout(timer);
        resolve(chunk.toString("latin1"));
        socket.destroy();
      });
      socket.on("error", (error: NodeJS.ErrnoException) => (clearTimeout(timer), resolve(error.code ?? "")));
      socket.on("close", () => (clearTimeout(timer), resolve("CLOSED")));
    });
  }, target);
}

/** What comes back to a datagram, or the code of the error. */
export async function udp(inside: Namespace, target: { address: string; port: number; send: string }): Promise<string> {
  return await inside.run(async ({ dgram }, { address, port, send }) => {
    const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
    const answer = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve("TIMEOUT"), 3000);
      socket.on("message", (bytes) => (clearTimeout(timer), resolve(bytes.toString("latin1"))));
      socket.on("error", (error: NodeJS.ErrnoException) => (clearTimeout(timer), resolve(error.code ?? "")));
      socket.connect(port, address, () => socket.send(send));
    });
    socket.close();
    return answer;
  }, target);
}

export interface Told {
  responseCode: number;
  truncated: boolean;
  /** of A and AAAA */
  addresses: string[];
  types: number[];
  ttl: number | null;
  /** the whole message, in latin1 */
  text: string;
}

/** Asks a DNS server; null where it does not answer. */
export async function dns(
  inside: Namespace,
  question: { server: string; name: string; type?: number; tcp?: boolean; edns?: number; waitMs?: number },
): Promise<Told | null> {
  return await inside.run(async ({ dns, net, dgram }, question) => {
    const { server, name, type = 1, tcp = false, edns, waitMs = 20_000 } = question;
    const query = {
      ...dns.answerTo(dns.readMessage(Buffer.alloc(12)), 0),
      id: 4711,
      response: false,
      recursionDesired: true,
      questions: [{ name, type, class: 1 }],
      edns: edns === undefined ? null : { payloadBytes: edns, dnssec: false },
    };
    const bytes = dns.writeMessage(query);
    const answer = await new Promise<Buffer | null>((resolve) => {
      const timer = setTimeout(() => resolve(null), waitMs);
      const done = (bytes: Buffer | null): void => {
        clearTimeout(timer);
        resolve(bytes);
      };
      if (tcp) {
        const socket = net.connect({ host: server, port: 53 });
        let held = Buffer.alloc(0);
        socket.on("error", () => done(null));
        socket.on("close", () => done(null));
        socket.on("data", (chunk: Buffer) => {
          held = Buffer.concat([held, chunk]);
          if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
          done(held.subarray(2));
          socket.destroy();
        });
        const prefix = Buffer.alloc(2);
        prefix.writeUInt16BE(bytes.length);
        socket.write(Buffer.concat([prefix, bytes]));
      } else {
        const socket = dgram.createSocket(server.includes(":") ? "udp6" : "udp4");
        socket.on("message", (bytes) => (done(bytes), socket.close()));
        socket.on("error", () => done(null));
        socket.send(bytes, 53, server);
      }
    });
    if (answer === null) return null;
    const message = dns.readMessage(answer);
    return {
      responseCode: message.responseCode,
      truncated: message.truncated,
      addresses: message.answers.flatMap((record) => dns.addressOf(record) ?? []),
      types: message.answers.map((record) => record.type),
      ttl: message.answers.at(-1)?.ttl ?? null,
      text: answer.toString("latin1"),
    };
  }, question);
}

/** Sends bytes piece by piece and gathers what comes back, until `until` is in it or the other end closes. */
export async function converse(
  inside: Namespace,
  talk: { address: string; port: number; send: string[]; until?: string; end?: boolean; pauseMs?: number },
): Promise<string> {
  return await inside.run(async ({ net }, { address, port, send, until, end = false, pauseMs = 0 }) => {
    const socket = net.connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    let text = "";
    const closed = new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        text += "<TIMEOUT>";
        socket.destroy();
      }, 20_000);
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
        if (until !== undefined && text.includes(until)) socket.destroy();
      });
      socket.on("end", () => socket.end());
      socket.on("error", (error: NodeJS.ErrnoException) => (text += `<${error.code}>`));
      socket.on("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    for (const piece of send) {
      socket.write(Buffer.from(piece, "latin1"));
      if (pauseMs > 0) await new Promise((next) => setTimeout(next, pauseMs));
    }
    if (end) socket.end();
    await closed;
    return text;
  }, talk);
}

/** A connection that stays: what it has received, and whether it has ended. */
export class Line {
  readonly #inside: Namespace;
  readonly #name: string;

  private constructor(inside: Namespace, name: string) {
    this.#inside = inside;
    this.#name = name;
  }

  /** Resolves once the first bytes have come. */
  static async open(inside: Namespace, target: { address: string; port: number; send?: string }): Promise<Line> {
    const name = `line ${target.address} ${target.port} ${Math.random()}`;
    await inside.run(
      async ({ net, kept }, { name, address, port, send }) => {
        const socket = net.connect({ host: address, port });
        const state = { text: "", ended: "", socket };
        kept.set(name, state);
        await new Promise<void>((resolve, reject) => {
          socket.on("data", (chunk: Buffer) => {
            state.text += chunk.toString("latin1");
            resolve();
          });
          socket.on("error", (error: NodeJS.ErrnoException) => (state.ended = error.code ?? ""));
          socket.on("close", () => {
            state.ended ||= "closed";
            reject(new Error(state.ended));
          });
          if (send !== undefined) socket.write(Buffer.from(send, "latin1"));
        });
      },
      { ...target, name },
    );
    return new Line(inside, name);
  }

  /** Sends, and resolves with true once it has come back, false once the connection has ended. */
  async echoes(text: string): Promise<boolean> {
    return await this.#inside.run(
      async ({ kept }, { name, text }) => {
        const state = kept.get(name) as { text: string; ended: string; socket: { write(text: string): void } };
        if (state.ended === "") state.socket.write(text);
        for (let tries = 0; tries < 3000 && state.ended === "" && !state.text.includes(text); tries += 1)
          await new Promise((again) => setTimeout(again, 5));
        return state.text.includes(text);
      },
      { name: this.#name, text },
    );
  }

  async ended(): Promise<string> {
    return await this.#inside.run(({ kept }, name) => (kept.get(name) as { ended: string }).ended, this.#name);
  }
}
