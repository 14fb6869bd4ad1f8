import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { runCommandLine } from "../../src/application.ts";
import { Cli } from "../../src/cli.ts";

/** Runs a command line in this process; for what neither exits nor reads stdin. */
export async function inProcess(
  env: Record<string, string>,
  ...words: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const cli = new Cli({
    env,
    stdout: out as unknown as NodeJS.WriteStream,
    stderr: err as unknown as NodeJS.WriteStream,
  });
  const texts = Promise.all([text(out), text(err)]);
  const code = await runCommandLine(cli, words);
  cli.close();
  out.end();
  err.end();
  const [stdout, stderr] = await texts;
  return { code, stdout, stderr };
}
