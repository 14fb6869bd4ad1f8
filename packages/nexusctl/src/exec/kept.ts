import type { ExecResult, Process } from "@workfort/contract";

const keptBytes = 1_048_576;

/** What `vm exec --json` prints: the result of the operation vm.exec, with this program's input and signals. */
export class Kept {
  readonly stdout = new KeptOutput();
  readonly stderr = new KeptOutput();

  result({ id, exitCode, signal, timedOut }: Process): ExecResult {
    return {
      processId: id,
      exitCode,
      signal,
      timedOut,
      stdout: this.stdout.text(),
      stderr: this.stderr.text(),
      truncated: this.stdout.truncated || this.stderr.truncated,
    };
  }
}

class KeptOutput {
  truncated = false;
  readonly #chunks: Uint8Array[] = [];
  #room = keptBytes;

  push(bytes: Uint8Array): void {
    const kept = bytes.subarray(0, this.#room);
    this.truncated ||= kept.length < bytes.length;
    this.#room -= kept.length;
    if (kept.length > 0) this.#chunks.push(kept);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}
