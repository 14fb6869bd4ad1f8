/** Firecracker's command line, as far as the double heeds it; the rest is accepted and has no effect. */
export interface Flags {
  apiSock: string;
  id: string;
  configFile: string | null;
  noApi: boolean;
  metadata: string | null;
  logPath: string | null;
  level: string | null;
  module: string | null;
  showLevel: boolean;
  showLogOrigin: boolean;
  metricsPath: string | null;
  bootTimer: boolean;
  maxPayloadBytes: number;
  mmdsBytes: number | null;
  /** a snapshot's file, whose version is printed instead of running */
  describeSnapshot: string | null;
  /** what is printed instead of running */
  prints: "version" | "help" | "snapshot-version" | null;
}

/** a command line that is refused, with exit code 153 */
export class FlagError extends Error {
  /** Rust's own notation of it */
  readonly debug: string;

  constructor(message: string, debug: string) {
    super(`Arguments parsing error: ${message} \\n\\nFor more information try --help.`);
    this.debug = `ParseArguments(${debug})`;
  }
}

const withValue = [
  "api-sock",
  "config-file",
  "describe-snapshot",
  "http-api-max-payload-size",
  "id",
  "level",
  "log-path",
  "metadata",
  "metrics-path",
  "mmds-size-limit",
  "module",
  "parent-cpu-time-us",
  "seccomp-filter",
  "start-time-cpu-us",
  "start-time-us",
];
const withoutValue = [
  "boot-timer",
  "enable-pci",
  "help",
  "no-api",
  "no-seccomp",
  "show-level",
  "show-log-origin",
  "snapshot-version",
  "version",
];

export function readFlags(argv: readonly string[]): Flags {
  const given = readGiven(argv);
  const value = (name: string): string | null => given.get(name) ?? null;
  return {
    apiSock: value("api-sock") ?? "/run/firecracker.socket",
    id: value("id") ?? "anonymous-instance",
    configFile: value("config-file"),
    noApi: given.has("no-api"),
    metadata: value("metadata"),
    logPath: value("log-path"),
    level: value("level"),
    module: value("module"),
    showLevel: given.has("show-level"),
    showLogOrigin: given.has("show-log-origin"),
    metricsPath: value("metrics-path"),
    bootTimer: given.has("boot-timer"),
    maxPayloadBytes: Number(value("http-api-max-payload-size") ?? 51_200),
    mmdsBytes: given.has("mmds-size-limit") ? Number(value("mmds-size-limit")) : null,
    describeSnapshot: value("describe-snapshot"),
    prints: (["help", "version", "snapshot-version"] as const).find((name) => given.has(name)) ?? null,
  };
}

/** Names with their values; those that print something win over any fault. */
function readGiven(argv: readonly string[]): Map<string, string> {
  const end = argv.indexOf("--");
  const words = end < 0 ? [...argv] : argv.slice(0, end);
  for (const name of ["help", "version"])
    if (words.includes(`--${name}`) || (name === "help" && words.includes("-h"))) return new Map([[name, ""]]);
  const given = new Map<string, string>();
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const name = word.startsWith("--") ? word.slice(2) : "";
    const takesValue = withValue.includes(name);
    if (!takesValue && !withoutValue.includes(name)) {
      const shown = word.replace(/^--/, "");
      throw new FlagError(
        `Found argument '${shown}' which wasn't expected, or isn't valid in this context.`,
        `UnexpectedArgument(${JSON.stringify(shown)})`,
      );
    }
    if (given.has(name))
      throw new FlagError(
        `The argument '${name}' was provided more than once.`,
        `DuplicateArgument(${JSON.stringify(name)})`,
      );
    const value = takesValue ? words.shift() : "";
    if (value === undefined || (takesValue && value.startsWith("--")))
      throw new FlagError(
        `The argument '${name}' requires a value, but none was supplied.`,
        `MissingValue(${JSON.stringify(name)})`,
      );
    given.set(name, value);
  }
  if (given.has("no-api") && !given.has("config-file"))
    throw new FlagError(`Argument 'config-file' required, but not found.`, `MissingArgument("config-file")`);
  if (given.has("no-seccomp") && given.has("seccomp-filter"))
    throw new FlagError(
      `Argument 'seccomp-filter' cannot be used together with argument 'no-seccomp'.`,
      `ForbiddenArgument("no-seccomp", "seccomp-filter")`,
    );
  return given;
}

/** what `--help` prints after the version */
export function helpText(): string {
  const names = [...withValue.map((name) => `${name} <${name}>`), ...withoutValue].toSorted();
  return ["", "optional arguments:", ...names.map((name) => `  --${name}`)].join("\n");
}
