import type { IncomingMessage } from "node:http";
import { WorkfortError } from "@workfort/contract";

/** argv and stdin of an exec, 1 MiB each, with room for JSON's escapes */
const bodyLimitBytes = 8 * 1024 * 1024;
const bodyTimeoutMs = 30_000;
/** what a body over the limit gets to end by itself */
const overLimitMs = 1_000;

/** Reads a JSON body within its bounds; no body counts as an empty object. */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const bytes = await collect(request);
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new WorkfortError("invalid_request", `body: not JSON: ${(error as Error).message}`, {
      fields: [{ field: "body", message: "must be JSON" }],
    });
  }
}

/**
 * The whole body. One over the limit is taken in for a moment more, and let fall: a caller who is cut off while
 * sending does not get to read why.
 */
async function collect(request: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = new WorkfortError("request_timeout", `the body has not arrived within ${bodyTimeoutMs / 1000} s`);
  const tooLarge = new WorkfortError("too_large", `the body is larger than ${bodyLimitBytes} bytes`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  let clock = setTimeout(() => reject(late), bodyTimeoutMs);
  const grow = (by: number): void => {
    const wasOver = bytes > bodyLimitBytes;
    bytes += by;
    if (wasOver || bytes <= bodyLimitBytes) return;
    clearTimeout(clock);
    clock = setTimeout(() => reject(tooLarge), overLimitMs);
  };
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > bodyLimitBytes) grow(declared);
  const take = (chunk: Buffer): void => {
    grow(chunk.length);
    if (bytes <= bodyLimitBytes) chunks.push(chunk);
  };
  request.on("data", take);
  request.once("end", () => (bytes > bodyLimitBytes ? reject(tooLarge) : resolve()));
  request.once("error", (cause) =>
    reject(new WorkfortError("invalid_request", "the caller went away within the body", { cause })),
  );
  try {
    await promise;
  } finally {
    clearTimeout(clock);
    request.off("data", take);
  }
  return Buffer.concat(chunks);
}
