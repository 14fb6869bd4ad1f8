import type { Cli } from "./cli.ts";

/** All of a console that the daemon holds. */
export async function readConsole(cli: Cli, vm: string): Promise<Buffer> {
  const { body } = await cli.client.bytes("vm.console", { params: { vm }, query: { follow: "false" } });
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The console from `wanted` bytes before its end on; 0 means all to the daemon, so nothing is asked for as one byte. */
export async function* followConsole(cli: Cli, vm: string, held: number, wanted: number): AsyncGenerator<Uint8Array> {
  let skip = held > 0 && wanted === 0 ? 1 : 0;
  const query = { follow: "true", tailBytes: String(wanted + skip) } as const;
  const { body } = await cli.client.bytes("vm.console", { params: { vm }, query });
  for await (const chunk of body) {
    yield chunk.subarray(skip);
    skip = 0;
  }
}
