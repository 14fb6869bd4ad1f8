import {
  buildApplication,
  buildCommand,
  buildRouteMap,
  run,
  text_en,
  type Application,
  type ApplicationText,
  type CommandContext,
} from "@stricli/core";
import type { Cli } from "./cli.ts";
import { commandTable, isGroup, type Entry, type Leaf } from "./command-table.ts";
import type { AnyCommand } from "./command.ts";
import { UsageError } from "./failures.ts";

type Routes = Parameters<typeof buildRouteMap>[0]["routes"];

/** One run of stricli over a command line: what it finds wrong is thrown as a UsageError in our words. */
export class Session {
  readonly #cli: Cli;
  readonly #path: readonly string[];
  readonly #command: AnyCommand | null;
  readonly #said: string[] = [];
  readonly #wrong: unknown[] = [];
  #ran: Promise<number | void> | null = null;

  constructor(cli: Cli, path: readonly string[], command: AnyCommand | null) {
    this.#cli = cli;
    this.#path = path;
    this.#command = command;
  }

  async run(inputs: readonly string[]): Promise<number> {
    const process: { stdout: Said; stderr: Said; exitCode?: number | string | null } = {
      stdout: { write: (text) => this.#cli.out.write(text) },
      stderr: { write: (text) => void this.#said.push(text.trimEnd()) },
    };
    await run(this.#application(), inputs, { process });
    if (this.#ran !== null) return (await this.#ran) ?? 0;
    const [first, ...more] = await this.#complaints();
    if (first === undefined) return 0;
    // what stricli itself says is about the command line, unless a command could not be loaded
    if (Number(process.exitCode) !== -4 && Number(process.exitCode) !== -5) throw new Error(first);
    throw new UsageError(first, { why: more });
  }

  async #complaints(): Promise<string[]> {
    if (this.#wrong.length === 0) return this.#said;
    const { describeScanError } = await import("./usage-words.ts");
    return this.#wrong.map((error) => describeScanError(error, this.#command));
  }

  #application(): Application<CommandContext> {
    return buildApplication(
      this.#routes(commandTable, []),
      {
        name: "nexusctl",
        scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
        documentation: { disableAnsiColor: true },
        localization: { text: this.#text() },
      },
      {
        help: {
          flag: {
            brief: "print this help",
            aliases: ["h"],
            global: true,
            defaultForRouteMap: true,
            run: async () => {
              const { renderHelp } = await import("./help.ts");
              this.#cli.out.write(await renderHelp(this.#path, this.#command, this.#cli.out.paint));
            },
          },
        },
      },
    );
  }

  #routes(table: Readonly<Record<string, Entry>>, above: readonly string[]): ReturnType<typeof buildRouteMap<string>> {
    const routes = Object.entries(table).map(([name, entry]) => {
      const path = [...above, name];
      return [name, isGroup(entry) ? this.#routes(entry.commands, path) : this.#leaf(entry, path)] as const;
    });
    const aliases = Object.entries(table).flatMap(([name, { aliases: others }]) =>
      (others ?? []).map((alias) => [alias, name] as const),
    );
    // without a prototype, so that a word such as "constructor" is no command
    return buildRouteMap({
      routes: bare(routes) as Routes,
      aliases: bare(aliases),
      docs: { brief: "" },
    });
  }

  #leaf({ summary }: Leaf, path: readonly string[]): ReturnType<typeof buildCommand> {
    const command = path.join(" ") === this.#path.join(" ") ? this.#command : null;
    const flags = bare(Object.entries(command?.parameters.flags ?? {}));
    return buildCommand<Readonly<Record<string, unknown>>, readonly unknown[]>({
      docs: { brief: summary },
      parameters: { ...command?.parameters, flags } as AnyCommand["parameters"],
      func: async (given: Readonly<Record<string, unknown>>, ...args: readonly unknown[]) => {
        this.#ran = command?.run(this.#cli, given, ...args) ?? null;
        await this.#ran?.catch(() => {}); // its failure is `run`'s to throw, not stricli's to print
      },
    });
  }

  #text(): ApplicationText {
    const first = (error: unknown): string => (error instanceof Error ? error.message : String(error));
    return {
      ...text_en,
      noCommandRegisteredForInput: ({ input, corrections }) => {
        const group = this.#path.length === 0 ? "" : `${this.#path.join(" ")} `;
        const meant = corrections.map((word) => `"${group}${word.replaceAll("`", "")}"`).join(" or ");
        return `there is no command "${group}${input}"${meant === "" ? "" : `; did you mean ${meant}?`}`;
      },
      exceptionWhileParsingArguments: (error) => {
        this.#wrong.push(error);
        return "";
      },
      exceptionWhileRunningIntegrationFlag: ({ exception }) => first(exception),
      exceptionWhileLoadingCommandFunction: first,
      exceptionWhileRunningCommand: first,
    };
  }
}

interface Said {
  write: (text: string) => void;
}

function bare<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  return Object.assign(Object.create(null), Object.fromEntries(entries)) as Record<string, T>;
}
