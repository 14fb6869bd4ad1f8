import { maxJsonBytes } from "./answer.ts";
import { AnswerError } from "./errors.ts";

const newline = 0x0a;

/** Cuts bytes into lines of text without their ends; the last one may lack its newline. */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    let from = 0;
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      yield Buffer.concat([...held, chunk.subarray(from, at)]).toString("utf8");
      held = [];
      size = 0;
      from = at + 1;
    }
    if (from === chunk.length) continue;
    size += chunk.length - from;
    if (size > maxJsonBytes)
      throw new AnswerError(`a line of the daemon's answer is over ${maxJsonBytes / 1024 / 1024} MiB`);
    held.push(chunk.subarray(from));
  }
  if (held.length > 0) yield Buffer.concat(held).toString("utf8");
}
