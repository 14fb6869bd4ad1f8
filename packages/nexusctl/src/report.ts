import { DaemonUnreachable } from "@workfort/client/errors";
import type { Cli } from "./cli.ts";
import { explain, type Explanation } from "./explain.ts";
import { printable } from "./format/colour.ts";
import { wrapWords } from "./format/wrap.ts";

/** Prints an error and gives its exit code. */
export async function report(cli: Cli, error: unknown, json: boolean): Promise<number> {
  const { explainUnreachable } = needsUnreachable(error)
    ? await import("./unreachable.ts")
    : { explainUnreachable: never };
  const explanation = explain(error, (down) => explainUnreachable(down, cli));
  cli.err.write(json ? `${JSON.stringify({ error: explanation.problem })}\n` : renderError(explanation, cli));
  if (cli.env["NEXUS_DEBUG"] === "1") cli.err.write(traceOf(error));
  return explanation.exitCode;
}

export function renderError({ headline, why, next }: Explanation, { err }: Pick<Cli, "err">): string {
  const lines = [
    `${err.paint("red", "error:")} ${printable(headline)}`,
    ...why.flatMap((line) => wrapWords(printable(line), err.columns - 2)).map((line) => `  ${line}`),
    ...(next === undefined ? [] : [`  ${err.paint("dim", "try:")} ${printable(next)}`]),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function needsUnreachable(error: unknown): boolean {
  return error instanceof DaemonUnreachable || (error instanceof Error && error.cause instanceof DaemonUnreachable);
}

function never(): Explanation {
  throw new Error("the explanation of an unreachable daemon was not loaded");
}

function traceOf(error: unknown): string {
  if (!(error instanceof Error)) return `${String(error)}\n`;
  return `${error.stack ?? error.message}\n${error.cause === undefined ? "" : `caused by: ${traceOf(error.cause)}`}`;
}
