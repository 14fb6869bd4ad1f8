import type { Readable } from "node:stream";
import { assemble } from "@workfort/contract/assembly";
import { errorCatalogue, OutputStreamError, WorkfortError, type ErrorCode } from "@workfort/contract";
import * as z from "zod";
import type { GuestLink, GuestRequest, GuestResponse } from "./ports.ts";

/** Reading what a guest's agent answers, which may be anything, of any length. */

/** what a failure says is short; a message quotes at most some hundred characters */
const failureBytes = 64 * 1024;

/** of a JSON answer of the agent: 512 processes with 1 MiB of arguments would be more, but then the listing is refused */
const answerBytes = 64 * 1024 * 1024;

const GuestError = z.object({
  error: z.object({
    code: z.string().max(100),
    message: z.string().max(10_000),
    errno: z.string().max(32).optional(),
    at: z.string().max(32).optional(),
  }),
});

/** codes of the guest protocol that mean something else to a caller of ours */
const guestCodes: Record<string, ErrorCode> = {
  bad_request: "invalid_request",
  not_found: "not_found",
  conflict: "guest_conflict",
  too_large: "too_large",
  too_many: "too_many",
  cannot_start: "cannot_start",
  permission_denied: "permission_denied",
  exists: "file_exists",
  not_a_directory: "not_a_directory",
  is_a_directory: "is_a_directory",
  not_empty: "directory_not_empty",
  not_a_file: "not_a_file",
  file_failed: "file_failed",
  bad_archive: "bad_archive",
  no_space: "guest_disk_full",
  connection_refused: "connection_refused",
};

/** What a failure of the agent means to a caller of ours. */
export async function toError(answer: GuestResponse): Promise<WorkfortError> {
  const parsed = GuestError.safeParse(await readGuestJson(answer.body, failureBytes).catch(() => null));
  if (!parsed.success)
    return new WorkfortError("agent_failed", `the agent answered status ${answer.status} without saying why`);
  const { code, message, errno, at } = parsed.data.error;
  if (code === "unsupported")
    return new WorkfortError("agent_outdated", `the agent of this VM is older than nexusd: ${message}`, {
      hint: "stop the VM and start it: it boots with the agent of this nexusd",
    });
  const isMissing = code === "cannot_start" && errno === "ENOENT" && at === "program";
  const known = isMissing ? "command_not_found" : guestCodes[code];
  if (known === undefined) return new WorkfortError("agent_failed", `the agent failed: ${message}`);
  return new WorkfortError(
    known,
    message,
    errorCatalogue[known].fault === "user" ? {} : { hint: "look at the VM's console: nexusctl vm logs" },
  );
}

/** Whatever breaks while a guest's answer is read is the guest's doing, or that of the line to it. */
export async function* toldPlainly<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  try {
    yield* source;
  } catch (error) {
    if (error instanceof OutputStreamError)
      throw new WorkfortError("agent_failed", `the agent sent something else than output: ${error.message}`, {
        cause: error,
      });
    throw new WorkfortError("agent_unreachable", "the line to the guest agent broke off before the answer was whole", {
      cause: error,
      hint: "what was started in the guest may still run: nexusctl vm list shows whether the agent is back",
    });
  }
}

/** At most `mostBytes` of JSON. */
export async function readGuestJson(body: Readable, mostBytes: number): Promise<unknown> {
  const bytes = await assemble(toldPlainly<Buffer>(body), mostBytes);
  if (bytes === null) throw new WorkfortError("agent_failed", `the agent's answer is over ${mostBytes} bytes`);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new WorkfortError("agent_failed", "the agent's answer is not JSON", { cause: error });
  }
}

/** Asks an agent; a refusal is an error. */
export async function ask(link: GuestLink, request: GuestRequest): Promise<GuestResponse> {
  const answer = await link.request(request);
  if (answer.status >= 300) throw await toError(answer);
  return answer;
}

/** Asks an agent for JSON of a shape; whatever else it answers is an error. */
export async function askJson<T>(link: GuestLink, request: GuestRequest, schema: z.ZodType<T>): Promise<T> {
  const { body } = await ask(link, request);
  const parsed = schema.safeParse(await readGuestJson(body, answerBytes));
  if (!parsed.success)
    throw new WorkfortError(
      "agent_failed",
      `the agent answered ${request.path.split("?")[0]} with something else than was asked for`,
    );
  return parsed.data;
}

/** Asks an agent for a stream of bytes. */
export async function askStream(link: GuestLink, request: GuestRequest): Promise<Readable> {
  return (await ask(link, request)).body;
}

/** Asks an agent to forget something. */
export async function askToForget(link: GuestLink, path: string): Promise<void> {
  (await ask(link, { method: "DELETE", path })).body.resume();
}
