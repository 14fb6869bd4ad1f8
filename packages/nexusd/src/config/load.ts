import { readFileSync } from "node:fs";
import { isMap, isPair, isScalar, LineCounter, parseDocument, type Document } from "yaml";
import type * as z from "zod";
import { Config } from "./schema.ts";

/** a configuration file that cannot be used; the message names file, line and key */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Reads the configuration; a missing file means defaults. */
export function loadConfig(path: string, options = { mayBeMissing: true }): { config: Config; file: string | null } {
  const text = readIfThere(path);
  if (text === null && !options.mayBeMissing) throw new ConfigError(`${path}: there is no such file`);
  if (text === null) return { config: Config.parse({}), file: null };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, resolveKnownTags: false });
  const syntax = document.errors[0];
  if (syntax !== undefined) throw new ConfigError(`${path}:${lines.linePos(syntax.pos[0]).line}: ${syntax.message}`);
  const parsed = Config.safeParse(toValues(path, document) ?? {});
  if (parsed.success) return { config: parsed.data, file: path };
  throw new ConfigError(parsed.error.issues.flatMap((issue) => explainIssue(path, document, lines, issue)).join("\n"));
}

/** Aliases are resolved only here, and may lead nowhere or to too much. */
function toValues(path: string, document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}`);
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new ConfigError(`${path}: cannot be read: ${(error as Error).message}`);
  }
}

function explainIssue(file: string, document: Document, lines: LineCounter, issue: z.core.$ZodIssue): string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return `${file}:${lineOf(document, lines, path)}: ${path.join(".")}: there is no such key`;
    });
  }
  const key = issue.path.length === 0 ? "the file" : issue.path.join(".");
  return [`${file}:${lineOf(document, lines, issue.path)}: ${key}: ${issue.message}`];
}

/** line of the key the path leads to, or of the nearest one that is there */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const key of path) {
    if (!isMap(node)) break;
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === key);
    if (pair === undefined) break;
    if (isScalar(pair.key) && pair.key.range) offset = pair.key.range[0];
    node = pair.value;
  }
  return lines.linePos(offset).line;
}
