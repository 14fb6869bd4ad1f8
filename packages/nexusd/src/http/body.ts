import type { IncomingMessage } from "node:http";
import { WorkfortError } from "@workfort/contract";

/** argv and stdin of an exec, 1 MiB each, with room for JSON's escapes */
const bodyLimitBytes = 8 * 1024 * 1024;
const bodyTimeoutMs = 30_000;

/** Reads a JSON body within its bounds; undefined where there is none. */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > bodyLimitBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const late = setTimeout(
    () =>
      request.destroy(
        new WorkfortError("request_timeout", `the body has not arrived within ${bodyTimeoutMs / 1000} s`),
      ),
    bodyTimeoutMs,
  );
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bodyLimitBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new WorkfortError("invalid_request", `body: not JSON: ${(error as Error).message}`, {
      fields: [{ field: "body", message: "JSON is expected" }],
    });
  }
}

function tooLarge(): WorkfortError {
  return new WorkfortError("too_large", `the body is larger than ${bodyLimitBytes} bytes`);
}
