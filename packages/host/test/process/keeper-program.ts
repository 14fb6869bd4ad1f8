import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { nativePrograms } from "@workfort/testing";
import { Keeper, KeeperError, startKeeper, type KeeperStart, type KeeperStarted } from "../../src/process/keeper.ts";

/** The real keeper. */
export const keeperProgram = join(nativePrograms, "keeper");

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
  const started = await startKeeper({ program: keeperProgram, socketPath, consoleBytes: 65_536, argv, ...more });
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
