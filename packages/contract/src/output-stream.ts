import { cutFrames, OutputStreamError, type OutputFrame } from "./output-frames.ts";
import { Process } from "./process.ts";

export { OutputStreamError, type OutputFrame } from "./output-frames.ts";

/** Cuts a byte stream into frames and checks the processes in it; throws OutputStreamError on anything else. */
export function readOutputStream(source: AsyncIterable<Uint8Array>): AsyncGenerator<OutputFrame, void, undefined> {
  return cutFrames(source, (json) => {
    const parsed = Process.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new OutputStreamError(`a process frame does not hold a process: ${parsed.error.issues[0]?.message ?? ""}`);
  });
}
