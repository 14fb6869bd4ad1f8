import { AnswerError, DaemonUnreachable } from "@workfort/client/errors";
import type { FieldIssue } from "@workfort/contract";
import { WorkfortError } from "@workfort/contract/errors";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { Failure, Refusal, UsageError } from "./failures.ts";

/** A failure in the words of a terminal and in those of a program. */
export interface Explanation {
  exitCode: number;
  /** what happened */
  headline: string;
  /** why, a line each */
  why: readonly string[];
  /** what to type next */
  next: string | undefined;
  /** like the daemon's problem JSON; failures of this program have codes of their own and no HTTP status */
  problem: object;
}

/** a headline with its reason stays on one line up to this many characters */
const oneLine = 110;

/** What to say of an error; the daemon's absence is explained by `explainUnreachable`, given here to stay pure. */
export function explain(error: unknown, unreachable: (error: DaemonUnreachable) => Explanation): Explanation {
  const action = error instanceof Failure ? error.action : null;
  const cause = error instanceof Failure ? error.cause : error;
  if (cause instanceof DaemonUnreachable) return unreachable(cause);
  if (cause instanceof WorkfortError) return refused(cause, action);
  if (cause instanceof UsageError) {
    const { message, why, hint } = cause;
    return own("usage", exitCodes.usage, message, why, hint);
  }
  if (cause instanceof AnswerError) {
    return own("bad_answer", exitCodes.failure, cause.message, [], "nexusctl version   (says whether the two fit)");
  }
  if (cause instanceof Refusal) {
    const headline = action === null ? cause.message : `cannot ${action}`;
    return own("refused", exitCodes.failure, headline, action === null ? [] : cause.message.split("\n"), undefined);
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  // the machine refuses: a full disk, a program that is not there
  if (action !== null && cause instanceof Error && "syscall" in cause)
    return own("system", exitCodes.failure, `cannot ${action}: ${message}`, [], undefined);
  const why = [`nexusctl has a defect: ${message.split("\n")[0] ?? ""}`];
  return own(
    "defect",
    exitCodes.failure,
    action === null ? "it failed" : `cannot ${action}`,
    why,
    "NEXUS_DEBUG=1 shows the trace; report it with that",
  );
}

function refused(error: WorkfortError, action: string | null): Explanation {
  const base = { exitCode: exitCodeOf[error.code], next: error.hint, problem: error.toProblem() };
  if (error.fields !== undefined && error.fields.length > 0) {
    return {
      ...base,
      headline: action === null ? "the request is malformed" : `cannot ${action}`,
      why: error.fields.map(describeField),
    };
  }
  if (action === null) return { ...base, headline: error.message, why: [] };
  const reason = shorten(error.message, action);
  const headline = `cannot ${action}: ${reason}`;
  if (headline.length <= oneLine && !reason.includes("\n")) return { ...base, headline, why: [] };
  return { ...base, headline: `cannot ${action}`, why: reason.split("\n") };
}

/** `VM "dev" is running` after `cannot start VM "dev"` is `it is running`. */
function shorten(detail: string, action: string): string {
  const subject = /\b(VM|image|workspace) "[^"]*"$/.exec(action)?.[0];
  if (subject === undefined) return detail;
  if (detail === `there is no ${subject}`) return `there is no such ${subject.split(" ")[0]}`;
  if (!detail.startsWith(`${subject} `)) return detail;
  return `it ${detail.slice(subject.length + 1)}`.replace(/^it cannot \w+: /, "");
}

/** fields of requests, as the command line calls them */
const flagOf: Record<string, string> = {
  "body.name": "NAME",
  "body.image": "--image",
  "body.workspace": "--workspace",
  "body.vcpuCount": "--vcpus",
  "body.memoryMiB": "--memory",
  "body.vmm": "--vmm",
  "body.source": "SOURCE",
  "body.sizeBytes": "--size",
  "body.graceMs": "--grace",
  "body.timeoutMs": "--timeout",
  "body.user": "--user",
  "body.cwd": "--cwd",
  "body.env": "--env",
  "body.argv": "COMMAND",
  "query.vm": "--vm",
  "query.type": "--type",
  "query.after": "--since",
  "path.vm": "NAME",
  "path.process": "ID",
  "body.signal": "SIGNAL",
  "query.stdout": "--stdout",
  "query.stderr": "--stderr",
  "path.image": "NAME",
  "path.workspace": "NAME",
};

function describeField({ field, message }: FieldIssue): string {
  return `${flagOf[field] ?? field}: ${message}`;
}

export function own(
  code: string,
  exitCode: number,
  headline: string,
  why: readonly string[],
  next: string | undefined,
): Explanation {
  const detail = [headline, ...why].join("; ");
  const problem = {
    type: `urn:workfort:error:${code}`,
    code,
    title: headline,
    detail,
    ...(next === undefined ? {} : { hint: next }),
  };
  return { exitCode, headline, why, next, problem };
}
