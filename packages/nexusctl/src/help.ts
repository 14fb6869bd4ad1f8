import type { AnyCommand } from "./command.ts";
import { commandTable, isGroup, walk, type Entry } from "./command-table.ts";
import { exitCodes, exitMeanings } from "./exit-codes.ts";
import type { Paint } from "./format/colour.ts";
import { toKebab } from "./usage-words.ts";

interface Flag {
  kind: "boolean" | "counter" | "enum" | "parsed";
  brief: string;
  placeholder?: string;
  values?: readonly string[];
  default?: string;
  variadic?: boolean;
}

interface Positional {
  brief: string;
  placeholder?: string;
  optional?: boolean;
}

type Positionals =
  | { kind: "array"; parameter: Positional; minimum?: number }
  | { kind: "tuple"; parameters: readonly Positional[] };

/** The help of a command, of a group, or of the whole. */
export async function renderHelp(path: readonly string[], command: AnyCommand | null, paint: Paint): Promise<string> {
  const { entry } = walk(path);
  if (command !== null && entry !== null) return commandHelp(path, entry.summary, command, paint);
  if (entry !== null && isGroup(entry)) return groupHelp(path, entry.summary, entry.commands, paint);
  return rootHelp(paint);
}

function rootHelp(paint: Paint): string {
  const codes = Object.entries(exitMeanings).map(
    ([name, meaning]) => [String(exitCodes[name as keyof typeof exitCodes]), meaning] as const,
  );
  return sections([
    "nexusctl: the command line of WorkFort, which gives every agent its own microVM",
    titled(paint, "Usage:", ["nexusctl COMMAND [flags]", "nexusctl COMMAND --help"]),
    titled(paint, "Commands:", rows(entriesOf(commandTable), paint)),
    titled(
      paint,
      "First steps:",
      rows(
        [
          ["nexusctl vm create dev --start", "a VM from the image base, running"],
          ["nexusctl vm exec dev -- uname -a", "a command in it"],
          ["nexusctl vm list", "what there is"],
          ["nexusctl vm delete dev --force", "end it and throw it away"],
        ],
        paint,
      ),
    ),
    titled(
      paint,
      "Everywhere:",
      rows(
        [
          ["--json", 'print the daemon\'s answer as JSON; failures as {"error": …} on stderr'],
          ["-q, --quiet", "print only names"],
          ["NO_COLOR=1", "no colour; NEXUS_DEBUG=1 shows the trace of an error"],
          ["NEXUS_INSTANCE", "which daemon, where a user runs several (default nexus)"],
        ],
        paint,
      ),
    ),
    titled(
      paint,
      "Exit codes:",
      rows([...codes, ["other", "vm exec: the command's own; 128 + n where signal n ended it"]], paint),
    ),
  ]);
}

function groupHelp(
  path: readonly string[],
  summary: string,
  commands: Readonly<Record<string, Entry>>,
  paint: Paint,
): string {
  const words = path.join(" ");
  return sections([
    summary,
    titled(paint, "Usage:", [`nexusctl ${words} COMMAND [flags]`]),
    titled(paint, "Commands:", rows(entriesOf(commands), paint)),
    `nexusctl ${words} COMMAND --help says more about one of them.`,
  ]);
}

function commandHelp(path: readonly string[], summary: string, command: AnyCommand, paint: Paint): string {
  const positional = command.parameters.positional as Positionals | undefined;
  const args =
    positional === undefined ? [] : positional.kind === "array" ? [positional.parameter] : positional.parameters;
  const usage = ["nexusctl", ...path, usageOf(positional, command), "[flags]"].filter((word) => word !== "").join(" ");
  return sections([
    summary,
    titled(paint, "Usage:", [
      command.commandAfter === undefined ? usage : `nexusctl ${path.join(" ")} [flags] NAME [--] COMMAND [ARGUMENT...]`,
    ]),
    ...(command.about === undefined ? [] : [command.about]),
    titled(
      paint,
      "Arguments:",
      rows(
        args.map(({ placeholder, brief }) => [placeholder ?? "", brief] as const),
        paint,
      ),
    ),
    titled(paint, "Flags:", rows(flagsOf(command), paint)),
    titled(
      paint,
      "Examples:",
      rows(
        command.examples.map(([line, does]) => [`nexusctl ${line}`, does] as const),
        paint,
      ),
    ),
  ]);
}

function usageOf(positional: Positionals | undefined, { commandAfter }: AnyCommand): string {
  if (positional === undefined || commandAfter !== undefined) return "";
  if (positional.kind === "array") return `${positional.parameter.placeholder ?? "ARGUMENT"}...`;
  return positional.parameters
    .map(({ placeholder = "", optional }) => (optional ? `[${placeholder}]` : placeholder))
    .join(" ");
}

function flagsOf({ parameters }: AnyCommand): (readonly [string, string])[] {
  const aliases = Object.entries((parameters.aliases ?? {}) as Record<string, string>);
  const own = Object.entries((parameters.flags ?? {}) as unknown as Record<string, Flag>).map(([name, flag]) => {
    const letter = aliases.find(([, full]) => full === name)?.[0];
    const value = flag.kind === "boolean" ? "" : ` ${flag.values?.join("|") ?? flag.placeholder ?? "VALUE"}`;
    const many = flag.variadic ? " (may be repeated)" : "";
    const otherwise = flag.default === undefined ? "" : ` (default ${flag.default})`;
    return [
      `${letter === undefined ? "    " : `-${letter}, `}--${toKebab(name)}${value}`,
      `${flag.brief}${many}${otherwise}`,
    ] as const;
  });
  return [...own, ["-h, --help", "print this help"]];
}

function entriesOf(table: Readonly<Record<string, Entry>>): (readonly [string, string])[] {
  return Object.entries(table).map(
    ([name, { summary, aliases }]) => [[name, ...(aliases ?? [])].join(", "), summary] as const,
  );
}

function rows(pairs: readonly (readonly [string, string])[], paint: Paint): string[] {
  const width = Math.max(0, ...pairs.map(([left]) => left.length));
  return pairs.map(([left, right]) => `${paint("bold", left)}${" ".repeat(width - left.length)}   ${right}`);
}

function titled(paint: Paint, title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : [paint("dim", title), ...lines.map((line) => `  ${line}`)].join("\n");
}

function sections(parts: readonly string[]): string {
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}
