import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeFirecrackerDouble } from "@workfort/testing";
import { makeTestStore } from "./test-store.ts";

/**
 * `npm test [-- FILE or directory…]`: gives the suite a btrfs of its own in a loop file, runs every kind of test in it,
 * and takes it away again. Ends with a line `N passed, N failed`. With `--double`, what every VMM has to pass, or the
 * files named, runs over Firecracker's protocol alone.
 */
/** a uid nobody has, for the tests that must work without any privilege */
const strangerUid = 64_321;
/** what every VMM has to pass: QEMU with the rest, Firecracker's double, and the real one in `npm run lab` */
const everyVmm = ["lifecycle", "drives", "pause"].map((name) => `test/whole/${name}.test.ts`);
const full = process.argv.includes("--full");
const overDouble = process.argv.includes("--double");
const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
/** a directory stands for the tests below it */
const named = (
  await Promise.all(words.map(async (word) => (word.endsWith(".ts") ? [word] : await find(`${word}/**/*.test.ts`))))
).flat();
if (words.length > 0 && named.length === 0) {
  console.error(`error: there are no tests below ${words.join(", ")}`);
  console.log("0 passed, 1 failed");
  process.exit(2);
}

let passed = 0;
let failed = 0;
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort());

const store = await makeTestStore(stopped.signal).catch((error: unknown) => {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  console.log("0 passed, 1 failed");
  process.exit(1);
});
const { directory, env } = store;
try {
  if (overDouble) {
    await runOverDouble(named.length > 0 ? named : everyVmm);
  } else if (named.length > 0) {
    await runNode(
      "named files",
      named.filter((path) => !path.endsWith(".unprivileged.test.ts")),
      env,
    );
    await runNode(
      "without privilege",
      named.filter((path) => path.endsWith(".unprivileged.test.ts")),
      env,
      [],
      strangerUid,
    );
  } else {
    await runNode(
      "units",
      await find(
        "packages/{contract,core,client,mcp,nexusctl,nexusd,gateway}/test/unit/**/*.test.ts",
        "test/unit/**/*.test.ts",
      ),
      env,
      ["--test-isolation=none"],
    );
    await runCargo();
    await runNode(
      "machine",
      await find("packages/host/test/**/*.test.ts", "packages/gateway/test/machine/**/*.test.ts"),
      env,
    );
    await runNode(
      "whole",
      await find("packages/{client,nexusctl,nexusd}/test/whole/**/*.test.ts", "test/whole/**/*.test.ts"),
      env,
    );
    await runOverDouble(everyVmm);
    await runNode(
      "without privilege",
      await find("packages/*/test/**/*.unprivileged.test.ts", "test/**/*.unprivileged.test.ts"),
      env,
      [],
      strangerUid,
    );
    if (full) await runNode("full", await find("test/full/**/*.test.ts"), env);
  }
} finally {
  const left = await store.remove();
  for (const commandLine of left) console.log(`left over, and ended: ${commandLine}`);
  if (!stopped.signal.aborted) failed += left.length;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 || stopped.signal.aborted ? 1 : 0;

async function runOverDouble(files: string[]): Promise<void> {
  const place = await fs.mkdtemp(join(directory, "firecracker-"));
  await fs.chmod(place, 0o755);
  const { program } = await makeFirecrackerDouble(place);
  await runNode("over Firecracker's protocol", files, {
    ...env,
    WORKFORT_TEST_FIRECRACKER: program,
    WORKFORT_TEST_CONFINE: "false",
  });
}

async function find(...patterns: string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const path of fs.glob(patterns)) found.push(path);
  return found.filter((path) => !path.includes("node_modules")).toSorted();
}

async function runNode(
  title: string,
  files: string[],
  env: Record<string, string>,
  options: string[] = [],
  uid?: number,
): Promise<void> {
  const chosen =
    uid === undefined && named.length === 0 ? files.filter((path) => !path.endsWith(".unprivileged.test.ts")) : files;
  if (chosen.length === 0 || stopped.signal.aborted) return;
  const begun = performance.now();
  console.log(`\n── ${title} (${chosen.length} files)`);
  const report = join(directory, `report-${title.replaceAll(" ", "-")}`);
  await fs.writeFile(report, "");
  await fs.chmod(report, 0o666);
  const child = spawn(
    process.execPath,
    [
      "--test",
      "--test-concurrency=2",
      "--test-reporter=dot",
      "--test-reporter-destination=stdout",
      "--test-reporter=tap",
      `--test-reporter-destination=${report}`,
      ...options,
      ...chosen,
    ],
    {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...env, ...(uid === undefined ? {} : { HOME: "/nonexistent" }) },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    },
  );
  stopped.signal.addEventListener("abort", () => child.kill("SIGTERM"));
  const [code] = (await once(child, "exit")) as [number | null];
  const tap = readFileSync(report, "utf8");
  const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(tap)?.[1] ?? 0);
  passed += count("pass");
  failed += count("fail") + count("cancelled");
  if (code !== 0 && count("fail") + count("cancelled") === 0) failed += 1; // it broke outside of any test
  if (code !== 0) console.log(failures(tap));
  for (const line of slowest(tap)) console.log(`   ${line}`);
  console.log(
    `   ${count("pass")} passed, ${count("fail")} failed in ${((performance.now() - begun) / 1000).toFixed(1)} s`,
  );
}

/** the tests that took longest, of those that took over ten seconds: what a slow run is to be mended by */
function slowest(tap: string): string[] {
  return [...tap.matchAll(/^(?:not )?ok \d+ - (.*)\n {2}---\n {2}duration_ms: ([\d.]+)/gm)]
    .map(([, name = "", milliseconds]) => ({ name, seconds: Number(milliseconds) / 1000 }))
    .filter(({ seconds }) => seconds > 10)
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, 12)
    .map(({ name, seconds }) => `${seconds.toFixed(0).padStart(5)} s  ${name}`);
}

/** the parts of a TAP report that say what failed */
function failures(tap: string): string {
  const lines = tap.split("\n");
  return lines
    .flatMap((line, index) =>
      /^\s*not ok /.test(line)
        ? lines
            .slice(index, index + 40)
            .slice(0, 1 + lines.slice(index + 1, index + 40).findIndex((next) => /^\s*\.\.\.$/.test(next)) + 1)
        : [],
    )
    .join("\n");
}

async function runCargo(): Promise<void> {
  console.log("\n── native programs");
  const child = spawn("cargo", ["test", "--quiet", "--workspace"], {
    cwd: "native",
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString("utf8");
    process.stdout.write(chunk);
  });
  const [code] = (await once(child, "close")) as [number | null];
  for (const [, ok = "0", bad = "0"] of output.matchAll(/(\d+) passed; (\d+) failed/g)) {
    passed += Number(ok);
    failed += Number(bad);
  }
  if (code !== 0 && !/[1-9]\d* failed/.test(output)) failed += 1;
}
