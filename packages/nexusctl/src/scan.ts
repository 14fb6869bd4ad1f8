import type { AnyCommand } from "./command.ts";
import { UsageError } from "./failures.ts";

interface FlagShape {
  kind: "boolean" | "counter" | "enum" | "parsed";
}

/**
 * Makes a command line unambiguous before it is parsed: a value that the parser would not see (empty, or of several
 * lines) becomes a word of its own, and the words of another program's command line get a `--` in front of them.
 */
export function disambiguate(words: readonly string[], command: AnyCommand): string[] {
  const out: string[] = [];
  let positionals = 0;
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "--") return [...out, ...words.slice(index)];
    if (!word.startsWith("-") || word === "-") {
      if (positionals === command.commandAfter) return [...out, "--", ...words.slice(index)];
      positionals += 1;
      out.push(word);
      continue;
    }
    const [name, value] = split(word);
    if (!/^(--[a-z][a-z-]+|-[a-z]+)$/i.test(name) || (value !== undefined && /^-[a-z]{2,}$/i.test(name)))
      throw new UsageError(`there is no flag ${word}`);
    const takesValue = shapeOf(name, command)?.kind === "parsed" || shapeOf(name, command)?.kind === "enum";
    if (value !== undefined && takesValue && (value === "" || value.includes("\n"))) out.push(name, value);
    else out.push(word);
    if (value === undefined && takesValue && index + 1 < words.length) out.push(words[(index += 1)] ?? "");
  }
  return out;
}

function split(word: string): [name: string, value: string | undefined] {
  const at = word.indexOf("=");
  return at === -1 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

function shapeOf(name: string, { parameters }: AnyCommand): FlagShape | undefined {
  const flags = (parameters.flags ?? {}) as Record<string, FlagShape>;
  const aliases = (parameters.aliases ?? {}) as Record<string, string>;
  const full = name.startsWith("--")
    ? name.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    : aliases[name.slice(1)];
  return full !== undefined && Object.hasOwn(flags, full) ? flags[full] : undefined;
}
