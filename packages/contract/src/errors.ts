import type { FieldIssue, Problem } from "./problem.ts";

/**
 * The catalogue of errors: every failure that leaves the daemon has one of these codes.
 *
 * `fault` says whose it is: a `user` fault is mended by asking differently, a `system` fault by mending the machine.
 */
export const errorCatalogue = {
  invalid_request: { status: 400, fault: "user", title: "The request is malformed" },
  unauthorized: { status: 401, fault: "user", title: "A valid bearer token is missing" },
  forbidden_origin: { status: 403, fault: "user", title: "The Host or Origin header is not allowed" },
  forbidden: { status: 403, fault: "user", title: "The token does not allow this" },
  permission_denied: { status: 403, fault: "user", title: "The guest's user may not do this" },
  not_found: { status: 404, fault: "user", title: "There is no such thing" },
  method_not_allowed: { status: 405, fault: "user", title: "The path exists, but not with this method" },
  request_timeout: { status: 408, fault: "user", title: "The request did not arrive in time" },
  name_taken: { status: 409, fault: "user", title: "The name is taken" },
  wrong_state: { status: 409, fault: "user", title: "The state does not allow this" },
  in_use: { status: 409, fault: "user", title: "It is in use" },
  insufficient_memory: { status: 409, fault: "user", title: "The host cannot back this much memory" },
  guest_conflict: { status: 409, fault: "user", title: "The guest refuses this now" },
  file_exists: { status: 409, fault: "user", title: "Something is there already" },
  not_a_directory: { status: 409, fault: "user", title: "It is no directory" },
  is_a_directory: { status: 409, fault: "user", title: "It is a directory" },
  directory_not_empty: { status: 409, fault: "user", title: "The directory is not empty" },
  not_a_file: { status: 409, fault: "user", title: "It is no regular file" },
  too_large: { status: 413, fault: "user", title: "The request is too large" },
  invalid_image: { status: 422, fault: "user", title: "The source cannot become a disk" },
  cannot_start: { status: 422, fault: "user", title: "The guest cannot start this program" },
  command_not_found: { status: 422, fault: "user", title: "The guest has no such program" },
  bad_archive: { status: 422, fault: "user", title: "The archive cannot be unpacked" },
  file_failed: { status: 422, fault: "user", title: "The guest's file system refuses this" },
  too_many: { status: 429, fault: "user", title: "Too many of them at once" },
  internal: { status: 500, fault: "system", title: "The daemon has a defect" },
  vmm_failed: { status: 502, fault: "system", title: "The VMM failed" },
  agent_outdated: { status: 501, fault: "system", title: "The guest agent is too old for this" },
  agent_failed: { status: 502, fault: "system", title: "The guest agent answered nonsense" },
  agent_unreachable: { status: 503, fault: "system", title: "The guest agent does not answer" },
  vmm_unavailable: { status: 503, fault: "system", title: "No usable VMM" },
  kernel_missing: { status: 503, fault: "system", title: "No usable guest kernel" },
  connection_refused: { status: 502, fault: "user", title: "Nothing answers there in the guest" },
  network_unavailable: { status: 503, fault: "system", title: "The network cannot be used" },
  storage_unavailable: { status: 503, fault: "system", title: "The storage cannot be used" },
  stopping: { status: 503, fault: "system", title: "The daemon is stopping" },
  timeout: { status: 504, fault: "system", title: "It took too long" },
  guest_disk_full: { status: 507, fault: "user", title: "The guest's disk is full" },
  storage_full: { status: 507, fault: "system", title: "The storage is full" },
} as const satisfies Record<string, { status: number; fault: "user" | "system"; title: string }>;

export type ErrorCode = keyof typeof errorCatalogue;
export const errorCodes = Object.keys(errorCatalogue) as ErrorCode[];

/** an error with a code of the catalogue; `message` says what happened, to what, and why */
export class WorkfortError extends Error {
  override readonly name = "WorkfortError";
  readonly code: ErrorCode;
  /** the next command to type, or the next thing to do */
  readonly hint: string | undefined;
  readonly fields: readonly FieldIssue[] | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    more: { hint?: string | undefined; fields?: readonly FieldIssue[] | undefined; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.hint = more.hint;
    this.fields = more.fields;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }

  toProblem(): Problem {
    const { title, status } = errorCatalogue[this.code];
    return {
      type: `urn:workfort:error:${this.code}`,
      code: this.code,
      title,
      status,
      detail: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.fields === undefined ? {} : { fields: [...this.fields] }),
    };
  }

  static fromProblem(problem: Problem): WorkfortError {
    return new WorkfortError(problem.code, problem.detail, { hint: problem.hint, fields: problem.fields });
  }
}
