import type { ClientRequest } from "node:http";

/** Writes a body as fast as the other side takes it, and stops when the answer or an error comes first. */
export function writeBody(request: ClientRequest, body: AsyncIterable<Uint8Array>): void {
  stream(request, body).catch((error: unknown) => request.destroy(error as Error));
}

async function stream(request: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<"over">();
  request.once("close", () => resolve("over"));
  request.once("response", (answer) => {
    resolve("over");
    // an answer before the end of the body: nobody reads the rest of it
    answer.once("close", () => request.writableEnded || request.destroy());
  });
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([chunks.next(), over]);
    if (next === "over") {
      void chunks.return?.();
      return;
    }
    if (next.done) break;
    if (!request.write(next.value) && (await Promise.race([drained(request), over])) === "over") {
      void chunks.return?.();
      return;
    }
  }
  request.end();
}

async function drained(request: ClientRequest): Promise<"drained"> {
  const { promise, resolve } = Promise.withResolvers<"drained">();
  request.once("drain", () => resolve("drained"));
  return await promise;
}
