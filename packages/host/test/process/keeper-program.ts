import { execFileSync } from "node:child_process";
import { existsSync, promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Keeper, KeeperError, startKeeper, type KeeperStart, type KeeperStarted } from "../../src/process/keeper.ts";

const native = fileURLToPath(new URL("../../../../native/", import.meta.url));

/** The real keeper, built if it is not there. */
export function keeperProgram(): string {
  const triple = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu`;
  const places = [`target/${triple}/release/keeper`, "target/release/keeper"].map((place) => join(native, place));
  const find = (): string | undefined => places.find((place) => existsSync(place));
  if (find() === undefined)
    execFileSync("cargo", ["build", "--release", "-p", "keeper"], { cwd: native, stdio: "inherit" });
  const program = find();
  if (program === undefined) throw new Error(`cargo has built no keeper at ${places.join(" or ")}`);
  return program;
}

/** A new directory, removed after the test. */
export async function directory(t: TestContext): Promise<string> {
  const path = await fs.mkdtemp(join(tmpdir(), "keeper-"));
  t.after(async () => await fs.rm(path, { recursive: true, force: true }));
  return path;
}

export interface Kept extends KeeperStarted {
  keeper: Keeper;
  socketPath: string;
}

/** A keeper of `argv`; killed after the test with its program, if they still live. */
export async function keep(t: TestContext, argv: readonly string[], more: Partial<KeeperStart> = {}): Promise<Kept> {
  // hooks run in the order of their making: the socket must still be there when the keeper is ended
  t.after(async () => await end(new Keeper(socketPath)));
  const socketPath = join(await directory(t), "k");
  const started = await startKeeper({ program: keeperProgram(), socketPath, consoleBytes: 65_536, argv, ...more });
  return { ...started, keeper: new Keeper(socketPath), socketPath };
}

async function end(keeper: Keeper): Promise<void> {
  try {
    await keeper.signal("SIGKILL").catch((error: unknown) => ignore(error, "ended"));
    await keeper.waitForEnd();
    await keeper.release();
  } catch (error) {
    ignore(error, "unreachable");
  }
}

function ignore(error: unknown, code: string): void {
  if (!(error instanceof KeeperError) || error.code !== code) throw error;
}

/** Reads a stream of bytes until its text satisfies; the text so far. */
export async function readUntil(source: AsyncIterable<Buffer>, satisfied: (text: string) => boolean): Promise<string> {
  let text = "";
  for await (const bytes of source) {
    text += bytes.toString("latin1");
    if (satisfied(text)) return text;
  }
  throw new Error(`the stream ended after ${JSON.stringify(text.slice(-200))}`);
}
