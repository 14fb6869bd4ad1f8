import type { Namespace } from "./namespace.ts";

/** what the lab's DNS says of a name */
export interface ZoneEntry {
  addresses?: string[];
  cname?: string;
  ttl?: number;
  /** of another type: its data in hexadecimal */
  other?: { type: number; data: string }[];
  /** how it misbehaves */
  trick?: "silent" | "garbage" | "wrong-id" | "wrong-name" | "server-failure" | "half-message" | "stranger-first";
}

/** A recursive resolver that knows only this zone, on UDP and TCP; CNAMEs are followed within it. */
export async function serveNames(inside: Namespace, address: string, zone: Record<string, ZoneEntry>): Promise<void> {
  await inside.run(
    async ({ dns, dgram, net, kept }, { address, zone }) => {
      if (kept.has("zone")) {
        kept.set("zone", zone);
        return;
      }
      kept.set("zone", zone);
      const asked: string[] = [];
      kept.set("asked", asked);
      const answer = (bytes: Buffer, datagram: boolean): Buffer[] => {
        const zone = kept.get("zone") as Record<string, ZoneEntry>;
        const query = dns.readMessage(bytes);
        const question = query.questions[0]!;
        asked.push(`${question.name.toLowerCase()} ${question.type}`);
        const reply = dns.answerTo(query, dns.responseCode.noError);
        let name = question.name.toLowerCase();
        for (let depth = 0; depth < 40; depth += 1) {
          const entry = zone[name];
          if (entry === undefined) {
            reply.responseCode = dns.responseCode.noSuchName;
            break;
          }
          const ttl = entry.ttl ?? 300;
          const head = { name, class: 1, ttl };
          if (entry.cname !== undefined) {
            reply.answers.push({ ...head, type: dns.recordType.cname, data: dns.nameBytes(entry.cname) });
            name = entry.cname;
            continue;
          }
          for (const text of entry.addresses ?? []) {
            const record = dns.addressRecord(name, text, ttl);
            if (record.type === question.type) reply.answers.push(record);
          }
          for (const { type, data } of entry.other ?? [])
            if (type === question.type) reply.answers.push({ ...head, type, data: Buffer.from(data, "hex") });
          break;
        }
        const { trick } = zone[question.name.toLowerCase()] ?? {};
        if (trick === "silent") return [];
        if (trick === "garbage")
          return [Buffer.from("this is no DNS message, whoever reads it"), bytes.subarray(0, 11)];
        if (trick === "wrong-id") return [dns.writeMessage({ ...reply, id: reply.id ^ 1 })];
        if (trick === "wrong-name")
          return [dns.writeMessage({ ...reply, questions: [{ ...question, name: "other.example" }] })];
        if (trick === "server-failure") return [dns.writeMessage({ ...reply, responseCode: 2, answers: [] })];
        const whole = dns.writeMessage(reply);
        if (trick === "half-message") return [whole.subarray(0, whole.length - 5)];
        if (trick === "stranger-first") return [dns.writeMessage({ ...reply, id: reply.id ^ 7 }), whole];
        if (datagram && whole.length > 1232) return [dns.writeMessage({ ...reply, truncated: true, answers: [] })];
        return [whole];
      };
      const socket = dgram.createSocket("udp4");
      socket.on("message", (bytes, from) => {
        for (const reply of answer(bytes, true)) socket.send(reply, from.port, from.address);
      });
      await new Promise<void>((resolve) => socket.bind(53, address, resolve));
      const server = net.createServer((socket) => {
        socket.on("error", () => {});
        let held = Buffer.alloc(0);
        socket.on("data", (chunk: Buffer) => {
          held = Buffer.concat([held, chunk]);
          if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
          for (const reply of answer(held.subarray(2), false)) {
            const prefix = Buffer.alloc(2);
            prefix.writeUInt16BE(reply.length);
            socket.write(Buffer.concat([prefix, reply]));
          }
          held = Buffer.alloc(0);
        });
      });
      await new Promise<void>((resolve) => server.listen(53, address, resolve));
    },
    { address, zone },
  );
}

/** What the lab's DNS was asked since the last time: `name type`. */
export async function askedNames(inside: Namespace): Promise<string[]> {
  return await inside.run(({ kept }) => (kept.get("asked") as string[]).splice(0), null);
}

/** Web servers that answer with what they were asked; an upgrade becomes an echo. */
export async function serveWeb(inside: Namespace, addresses: readonly string[], port = 80): Promise<void> {
  await inside.run(
    async ({ http }, { addresses, port }) => {
      for (const address of addresses) {
        const server = http.createServer((request, response) => {
          let bytes = 0;
          request.on("data", (chunk: Buffer) => (bytes += chunk.length));
          request.on("end", () => {
            const { host } = request.headers;
            response.setHeader("connection", request.headers.connection ?? "keep-alive");
            response.end(`<${address} ${request.method} ${host} ${request.url} ${bytes}>`);
          });
        });
        server.on("upgrade", (_, socket) => {
          socket.on("error", () => {});
          socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
          socket.pipe(socket);
        });
        await new Promise<void>((resolve) => server.listen(port, address, resolve));
      }
    },
    { addresses: [...addresses], port },
  );
}
