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
import type { AnyCommand } from "./command.ts";
import { commandTable, isGroup, walk, type Entry, type Leaf } from "./command-table.ts";
import { UsageError } from "./failures.ts";

type Routes = Parameters<typeof buildRouteMap>[0]["routes"];

/** Runs one command line and gives its exit code. Of all commands only the one that is meant is loaded. */
export async function runCommandLine(cli: Cli, argv: readonly string[]): Promise<number> {
  const words = argv[0] === "help" ? [...argv.slice(1), "--help"] : argv;
  const { path, entry, rest } = walk(words);
  const json = beforeDashes(words).includes("--json");
  try {
    if (words.length === 1 && (words[0] === "--version" || words[0] === "-V"))
      return await runCommandLine(cli, ["version"]);
    const stray = rest[0]?.startsWith("-") === true && !/^(-h|--help|--)$/.test(rest[0]) ? rest[0] : null;
    if (stray !== null && (entry === null || isGroup(entry)))
      throw new UsageError(`there is no flag ${stray} here; flags come after the command`);
    const command = entry === null || isGroup(entry) ? null : (await entry.load()).default;
    const inputs =
      command === null || rest.length === 0 ? rest : (await import("./scan.ts")).disambiguate(rest, command);
    const session = new Session(cli, path, command, json);
    return await session.run([...path, ...inputs]);
  } catch (error) {
    return await report(cli, withHelpHint(error, path), json);
  }
}

/** What only failures need is loaded only for them. */
async function report(cli: Cli, error: unknown, json: boolean): Promise<number> {
  return await (await import("./report.ts")).report(cli, error, json);
}

/** One run of stricli over a command line, with what it says put into our words. */
class Session {
  readonly #cli: Cli;
  readonly #path: readonly string[];
  readonly #command: AnyCommand | null;
  readonly #json: boolean;
  readonly #said: string[] = [];
  readonly #wrong: unknown[] = [];
  #exitCode: number | null = null;

  constructor(cli: Cli, path: readonly string[], command: AnyCommand | null, json: boolean) {
    this.#cli = cli;
    this.#path = path;
    this.#command = command;
    this.#json = json;
  }

  async run(inputs: readonly string[]): Promise<number> {
    const process: { stdout: Said; stderr: Said; exitCode?: number | string | null } = {
      stdout: { write: (text) => this.#cli.out.write(text) },
      stderr: { write: (text) => void this.#said.push(text.trimEnd()) },
    };
    await run(this.#application(), inputs, { process });
    if (this.#exitCode !== null) return this.#exitCode;
    const [first, ...more] = await this.#complaints();
    if (first === undefined) return 0;
    // what stricli itself says is about the command line, unless a command could not be loaded
    if (Number(process.exitCode) !== -4 && Number(process.exitCode) !== -5) throw new Error(first);
    return await report(this.#cli, withHelpHint(new UsageError(first, { why: more }), this.#path), this.#json);
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
        try {
          this.#exitCode = (await command?.run(this.#cli, given, ...args)) ?? 0;
        } catch (error) {
          this.#exitCode = await report(this.#cli, withHelpHint(error, this.#path), this.#json);
        }
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

function beforeDashes(words: readonly string[]): readonly string[] {
  const at = words.indexOf("--");
  return at === -1 ? words : words.slice(0, at);
}

/** A wrong command line without a better hint points to the help of what was found of it. */
function withHelpHint(error: unknown, path: readonly string[]): unknown {
  if (!(error instanceof UsageError) || error.hint !== undefined) return error;
  return new UsageError(error.message, { why: error.why, hint: ["nexusctl", ...path, "--help"].join(" ") });
}
