import type { ErrorCode } from "@workfort/contract/errors";

/** What the exit code says (codex/reference/exit-codes.md); `vm exec` ends with the command's own. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  conflict: 5,
  host: 6,
  guest: 7,
  timeout: 124,
  cannotStart: 126,
  commandNotFound: 127,
} as const;

export const exitMeanings: Record<keyof typeof exitCodes, string> = {
  ok: "done",
  failure: "failed, for a reason that is none of these",
  usage: "the command line or a value in it is wrong",
  unreachable: "the daemon does not run, or cannot be reached",
  notFound: "there is no such VM, image, workspace, drive or process",
  conflict: "the state does not allow it: wrong state, name taken, in use",
  host: "the host cannot: memory, storage, VMM, guest kernel",
  guest: "the guest cannot be reached",
  timeout: "it took too long",
  cannotStart: "vm exec: the guest cannot start the command",
  commandNotFound: "vm exec: the guest has no such command",
};

/** One row for every code of the catalogue: a new one does not compile without. */
export const exitCodeOf: Record<ErrorCode, number> = {
  invalid_request: exitCodes.usage,
  unauthorized: exitCodes.failure,
  forbidden_origin: exitCodes.failure,
  forbidden: exitCodes.failure,
  not_found: exitCodes.notFound,
  method_not_allowed: exitCodes.failure,
  request_timeout: exitCodes.timeout,
  name_taken: exitCodes.conflict,
  wrong_state: exitCodes.conflict,
  in_use: exitCodes.conflict,
  insufficient_memory: exitCodes.host,
  guest_conflict: exitCodes.conflict,
  too_large: exitCodes.usage,
  invalid_image: exitCodes.failure,
  cannot_start: exitCodes.cannotStart,
  command_not_found: exitCodes.commandNotFound,
  too_many: exitCodes.conflict,
  internal: exitCodes.failure,
  vmm_failed: exitCodes.host,
  agent_failed: exitCodes.guest,
  agent_unreachable: exitCodes.guest,
  vmm_unavailable: exitCodes.host,
  kernel_missing: exitCodes.host,
  storage_unavailable: exitCodes.host,
  stopping: exitCodes.unreachable,
  timeout: exitCodes.timeout,
  storage_full: exitCodes.host,
};
