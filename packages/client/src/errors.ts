/**
 * Why the daemon was not reached.
 * - `missing`: there is no socket, or no such host
 * - `refused`: nobody listens there
 * - `forbidden`: the socket belongs to another user
 * - `lost`: the connection broke after it was made; what was asked may have been done
 * - `other`: see the code
 */
export type UnreachableReason = "missing" | "refused" | "forbidden" | "lost" | "other";

const reasons: Record<string, UnreachableReason> = {
  ENOENT: "missing",
  ENOTDIR: "missing",
  ENOTFOUND: "missing",
  ECONNREFUSED: "refused",
  EACCES: "forbidden",
  EPERM: "forbidden",
  ECONNRESET: "lost",
  ECONNABORTED: "lost",
  EPIPE: "lost",
};

const words: Record<UnreachableReason, string> = {
  missing: "there is nothing at that address",
  refused: "nobody listens there",
  forbidden: "access is denied",
  lost: "the connection broke before the answer was whole",
  other: "the connection failed",
};

/** The daemon was not reached, or went away in the middle of an answer. */
export class DaemonUnreachable extends Error {
  override readonly name = "DaemonUnreachable";
  /** path of the socket, or URL */
  readonly address: string;
  readonly reason: UnreachableReason;
  /** for example `ECONNREFUSED` */
  readonly code: string | undefined;

  constructor(address: string, reason: UnreachableReason, more: { code?: string | undefined; cause?: unknown } = {}) {
    const code = more.code === undefined ? "" : ` (${more.code})`;
    super(`cannot reach nexusd at ${address}: ${words[reason]}${code}`, { cause: more.cause });
    this.address = address;
    this.reason = reason;
    this.code = more.code;
  }

  /** What an error of a socket means. */
  static from(address: string, error: unknown): DaemonUnreachable {
    if (error instanceof DaemonUnreachable) return error;
    const code = (error as { code?: unknown } | null)?.code;
    const known = typeof code === "string" ? code : undefined;
    return new DaemonUnreachable(address, reasons[known ?? ""] ?? "other", { code: known, cause: error });
  }
}

/** The answer is not what a daemon of this interface gives. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}
