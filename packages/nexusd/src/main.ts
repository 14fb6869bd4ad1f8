import { locate } from "@workfort/contract/locations";
import { ConfigError, loadConfig } from "./config/load.ts";
import { version } from "./version.ts";

const usage = `Usage: nexusd [--config FILE]            serve
       nexusd doctor [--json]            check this machine
       nexusd storage init [--size 20G] [--file PATH] [--json]
                                         make and mount a btrfs for the disks
       nexusd storage unmount            unmount it; what it holds stays
       nexusd network setup [--remove] [--json]
                                         let the user that sudo came from have veth links
       nexusd --version | --help
`;

/** Each command is loaded only when it is run. */
async function main(argv: readonly string[]): Promise<number> {
  const { words, options } = split(argv);
  if (options.has("--help")) return print(usage);
  if (options.has("--version")) return print(`${version}\n`);
  const locations = locate(process.env, process.getuid?.() ?? 0);
  const named = options.get("--config");
  const { config, file } = loadConfig(named ?? locations.configFile, { mayBeMissing: named === undefined });
  const effective = { ...locations, dataDirectory: config.storage.directory ?? locations.dataDirectory };
  switch (words.join(" ")) {
    case "":
      return await (await import("./commands/serve.ts")).serve(config, file, effective);
    case "doctor":
      return await (await import("./commands/doctor.ts")).doctor(config, effective, { json: options.has("--json") });
    case "storage init":
      return await (
        await import("./commands/storage.ts")
      ).storageInit(effective, {
        json: options.has("--json"),
        size: options.get("--size") ?? null,
        file: options.get("--file") ?? null,
      });
    case "storage unmount":
      return await (await import("./commands/storage.ts")).storageUnmount(effective);
    case "network setup":
      return await (
        await import("./commands/network.ts")
      ).networkSetup({ json: options.has("--json"), remove: options.has("--remove") });
    default:
      process.stderr.write(`nexusd: there is no command "${words.join(" ")}"\n\n${usage}`);
      return 2;
  }
}

const valued = new Set(["--config", "--size", "--file"]);
const flags = new Set(["--help", "--version", "--json", "--remove"]);

function split(argv: readonly string[]): { words: string[]; options: Map<string, string> } {
  const words: string[] = [];
  const options = new Map<string, string>();
  for (let index = 0; index < argv.length; index += 1) {
    const given = argv[index] ?? "";
    const word = given === "-h" ? "--help" : given;
    const [name = "", inline] = word.split(/=(.*)/s);
    if (!word.startsWith("-")) words.push(word);
    else if (flags.has(word)) options.set(word, "");
    else if (valued.has(name)) options.set(name, inline ?? argv[(index += 1)] ?? "");
    else throw new UsageError(`there is no option ${word}`);
  }
  return { words, options };
}

class UsageError extends Error {}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

// whoever reads may have had enough, as `head` has
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const known =
    error instanceof UsageError ||
    error instanceof ConfigError ||
    (error instanceof Error && error.name === "WorkfortError");
  process.stderr.write(
    `nexusd: ${known ? (error as Error).message : String(error instanceof Error ? error.stack : error)}\n`,
  );
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
