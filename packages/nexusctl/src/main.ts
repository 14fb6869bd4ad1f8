import { runCommandLine } from "./application.ts";
import { Cli } from "./cli.ts";

const cli = new Cli(process);

process.on("uncaughtException", (error) => {
  void import("./report.ts")
    .then(({ report }) => report(cli, error, process.argv.includes("--json")))
    .then((code) => process.exit(code));
});

process.exitCode = await runCommandLine(cli, process.argv.slice(2));
cli.close();
