import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import { paint } from "./steps.ts";

/** `npm run check`: everything that can be known without running the product. One line a check; all are run. */
const bin = (name: string): string => `node_modules/.bin/${name}`;

const shellFiles = [...(await collect("tools/*.sh")), ...(await collect("bin/*")), ".ci/run"];
const checks: [title: string, argv: [string, ...string[]], cwd?: string][] = [
  ["types", [bin("tsc"), "-p", "."]],
  ["format", [bin("oxfmt"), "--check", "."]],
  ["lint", [bin("oxlint"), "--type-aware", "--deny-warnings", "packages", "tools", "test", "bench"]],
  ["unused code", [process.execPath, "tools/unused.ts"]],
  ["shell syntax", ["sh", "-c", 'for file in "$@"; do sh -n "$file" || exit 1; done', "sh", ...shellFiles]],
  ["format (Rust)", ["cargo", "fmt", "--check"], "native"],
  ["lint (Rust)", ["cargo", "clippy", "--quiet", "--all-targets", "--", "-D", "warnings"], "native"],
];

const results = await Promise.all(checks.map(([title, argv, cwd]) => run(title, argv, cwd)));
const failed = results.filter((ok) => !ok).length;
console.log(`${results.length - failed} of ${results.length} checks are good`);
process.exitCode = failed === 0 ? 0 : 1;

async function run(title: string, [program, ...rest]: [string, ...string[]], cwd = "."): Promise<boolean> {
  const begun = performance.now();
  const child = spawn(program, rest, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.once("error", (error) => {
    output += error.message;
    resolve(null);
  });
  child.once("close", resolve);
  const ok = (await promise) === 0;
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(
    `${ok ? paint("green", "ok    ") : paint("red", "failed")}  ${title.padEnd(14)} ${seconds} s${ok ? "" : `\n${output.trimEnd().slice(-8000)}`}`,
  );
  return ok;
}

async function collect(pattern: string): Promise<string[]> {
  return (await Array.fromAsync(fs.glob(pattern))).toSorted();
}
