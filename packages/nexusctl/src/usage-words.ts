import {
  AliasNotFoundError,
  ArgumentParseError,
  EnumValidationError,
  FlagNotFoundError,
  UnexpectedFlagError,
  UnexpectedPositionalError,
  UnsatisfiedFlagError,
  UnsatisfiedPositionalError,
} from "@stricli/core";
import type { AnyCommand } from "./command.ts";

/** What the parser found wrong with a command line, in the words of the help. */
export function describeScanError(error: unknown, command: AnyCommand | null): string {
  if (error instanceof FlagNotFoundError) {
    const meant = error.corrections.map((name) => `--${toKebab(name)}`).join(" or ");
    return `there is no flag --${error.input}${meant === "" ? "" : `; did you mean ${meant}?`}`;
  }
  if (error instanceof AliasNotFoundError) return `there is no flag -${error.input}`;
  if (error instanceof ArgumentParseError) {
    const name = nameOf(error.externalFlagNameOrPlaceholder, command);
    const { exception } = error;
    return `${name} ${exception instanceof Error ? exception.message : String(exception)}`;
  }
  if (error instanceof EnumValidationError)
    return `--${error.externalFlagName} takes ${oneOf(error.values)}, not "${error.input}"`;
  if (error instanceof UnsatisfiedFlagError) return `--${error.externalFlagName} needs a value`;
  if (error instanceof UnexpectedFlagError)
    return `--${error.externalFlagName} may be given once, not "${error.previousInput}" and "${error.input}"`;
  if (error instanceof UnexpectedPositionalError) return `"${error.input}" is one argument too many`;
  if (error instanceof UnsatisfiedPositionalError)
    return `${error.limit?.[1] === 1 ? "a COMMAND" : error.placeholder} is missing`;
  return error instanceof Error ? error.message : String(error);
}

function nameOf(name: string, command: AnyCommand | null): string {
  return Object.keys(command?.parameters.flags ?? {}).some((flag) => toKebab(flag) === name) ? `--${name}` : name;
}

function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1) ?? ""}`;
}

export function toKebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
