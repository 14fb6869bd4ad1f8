import assert from "node:assert/strict";
import { test } from "node:test";
import { runProcess, type RunOptions } from "@workfort/client";
import type { Process } from "@workfort/contract";
import { FakeGuest, problem } from "../helpers/fake-guest.ts";
import { TestServer } from "../helpers/server.ts";

const fast = { retryDelaysMs: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1] };

interface Seen {
  stdout: string;
  stderr: string;
  gaps: [string, number][];
  breaks: number;
}

/** Runs a process in a fake guest and collects what came. */
async function withRun(
  work: (given: {
    guest: FakeGuest;
    server: TestServer;
    seen: Seen;
    run: (options?: RunOptions) => Promise<Process>;
  }) => Promise<void>,
): Promise<void> {
  const guest = new FakeGuest();
  await using server = await TestServer.start(guest.answer);
  const seen: Seen = { stdout: "", stderr: "", gaps: [], breaks: 0 };
  const run = async (options: RunOptions = {}): Promise<Process> =>
    await runProcess(
      server.client,
      "dev",
      { argv: ["work"] },
      {
        ...fast,
        onStdout: (bytes) => void (seen.stdout += Buffer.from(bytes).toString()),
        onStderr: (bytes) => void (seen.stderr += Buffer.from(bytes).toString()),
        onGap: (output, lost) => seen.gaps.push([output, lost]),
        onBreak: () => void (seen.breaks += 1),
        ...options,
      },
    );
  await work({ guest, server, seen, run });
}

test("outputs come apart and whole, and the end is the process", async () => {
  await withRun(async ({ guest, seen, run }) => {
    const ended = await run({
      onStart: ({ argv }) => {
        assert.deepEqual(argv, ["work"]);
        guest.write("stdout", "one\n");
        guest.write("stderr", "two\n");
        guest.exit(3);
      },
    });
    assert.deepEqual([ended.exitCode, seen.stdout, seen.stderr], [3, "one\n", "two\n"]);
  });
});

test("a connection that breaks again and again loses and repeats no byte", async () => {
  await withRun(async ({ guest, server, seen, run }) => {
    const text = Array.from({ length: 3000 }, (_, line) => `line ${line}\n`).join("");
    const more = (): void => {
      const at = guest.written.stdout.length;
      guest.write("stdout", text.slice(at, at + 3333));
      guest.write("stderr", text.slice(at, at + 100));
      if (at + 3333 >= text.length) guest.exit(0);
    };
    const ended = await run({
      onStart: more,
      onStdout: (bytes) => {
        seen.stdout += Buffer.from(bytes).toString();
        if (seen.stdout.length < guest.written.stdout.length || guest.process?.state === "exited") return;
        more(); // some of it may still get through
        server.cut();
      },
    });
    assert.equal(ended.exitCode, 0);
    assert.equal(seen.stdout, text);
    assert.equal(seen.stderr, guest.written.stderr.toString());
    assert.deepEqual(seen.gaps, []);
    assert.ok(seen.breaks >= 5, `${seen.breaks} breaks`);
  });
});

test("a stream cut inside a frame goes on at its first missing byte", async () => {
  await withRun(async ({ guest, server, seen, run }) => {
    const asked: string[] = [];
    guest.intercept = (request, response) => {
      if (request.method !== "GET") return false;
      asked.push(request.url?.split("?")[1] ?? "");
      if (asked.length > 1) return false;
      const half = Buffer.alloc(20);
      half.writeUInt8(1, 0);
      half.writeUInt32BE(100, 4);
      response.writeHead(200).end(half); // ends in order, in the middle of a frame
      return true;
    };
    const ended = await run({
      onStart: () => guest.write("stdout", "x".repeat(1500)),
      onStdout: (bytes) => {
        seen.stdout += Buffer.from(bytes).toString();
        if (seen.stdout.length === 1500) {
          server.cut();
          guest.exit(0);
        }
      },
    });
    assert.equal(ended.exitCode, 0);
    assert.equal(seen.stdout.length, 1500);
    assert.deepEqual(
      asked,
      Array.from({ length: 2 }, () => "stdout=1500&stderr=0&follow=true"),
    );
  });
});

test("it lives through a restart of the daemon", async () => {
  await withRun(async ({ guest, server, seen, run }) => {
    const ended = await run({
      retryDelaysMs: Array.from({ length: 200 }, () => 5),
      onStart: () => {
        guest.write("stdout", "before ");
        void server.stop().then(async () => {
          guest.write("stdout", "meanwhile ");
          await server.listen();
        });
      },
      onBreak: () => {
        if (guest.process?.state === "exited") return;
        guest.write("stdout", "after");
        guest.exit(0);
      },
    });
    assert.equal(ended.exitCode, 0);
    assert.equal(seen.stdout, "before meanwhile after");
  });
});

test("bytes that fell out of the ring meanwhile are told as a gap", async () => {
  await withRun(async ({ guest, server, seen, run }) => {
    await run({
      onStart: () => guest.write("stdout", "0123456789"),
      onStdout: (bytes) => {
        seen.stdout += Buffer.from(bytes).toString();
        if (seen.stdout !== "0123456789") return;
        guest.write("stdout", "abcdefghij");
        guest.forget("stdout", 15);
        guest.exit(0);
        server.cut();
      },
    });
    // the rest may have been under way when the connection was cut
    assert.ok(seen.stdout === "0123456789abcdefghij" || seen.gaps.length === 1);
    if (seen.gaps.length === 1) assert.deepEqual([seen.stdout, seen.gaps], ["0123456789fghij", [["stdout", 5]]]);
  });
});

test("a start whose answer was lost is not a second start", async () => {
  await withRun(async ({ guest, seen, run }) => {
    let first = true;
    guest.intercept = (request, response) => {
      if (!first || request.method !== "POST") return false;
      first = false;
      // the guest starts it, but nothing comes back
      Object.assign(response, { write: () => true, end: () => response, writeHead: () => response });
      request.once("end", () => setImmediate(() => request.socket.destroy()));
      return false;
    };
    const ended = await run({
      onStart: () => {
        guest.write("stdout", "once");
        guest.exit(0);
      },
    });
    assert.deepEqual([guest.starts, ended.exitCode, seen.stdout], [1, 0, "once"]);
  });
});

test("a refusal is not tried again", async () => {
  await withRun(async ({ guest, server, run }) => {
    guest.intercept = (_, response) => {
      problem(response, "cannot_start", "there is no program work");
      return true;
    };
    await assert.rejects(run(), { code: "cannot_start" });
    assert.equal(server.requests.length, 1);
  });
});

test("an id of one's own that is taken is a refusal", async () => {
  await withRun(async ({ guest, server }) => {
    guest.intercept = (_, response) => {
      problem(response, "guest_conflict", "the id is taken");
      return true;
    };
    await assert.rejects(runProcess(server.client, "dev", { argv: ["a"], id: "mine" }, fast), {
      code: "guest_conflict",
    });
  });
});

test("without a daemon it fails at once, and with one that stays away in the end", async () => {
  await withRun(async ({ guest, server, run }) => {
    await assert.rejects(run({ retryDelaysMs: [1, 1, 1], onStart: () => void server.stop() }), {
      name: "DaemonUnreachable",
    });
    guest.process = null;
    let breaks = 0;
    await assert.rejects(run({ onBreak: () => void (breaks += 1) }), { name: "DaemonUnreachable", reason: "missing" });
    assert.equal(breaks, 0);
  });
});

test("a slow reader holds the stream back", async () => {
  await withRun(async ({ guest, run }) => {
    let inside = 0;
    await run({
      onStart: () => {
        guest.write("stdout", "x".repeat(20_000));
        guest.exit(0);
      },
      onStdout: async () => {
        inside += 1;
        assert.equal(inside, 1, "the next piece waits for the promise of the last");
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
      },
    });
  });
});

test("an abort ends the watching with its reason and leaves the process alone", async () => {
  await withRun(async ({ guest, run }) => {
    const abort = new AbortController();
    const reason = new Error("seen enough");
    await assert.rejects(run({ signal: abort.signal, onStart: () => abort.abort(reason), stdin: silent() }), reason);
    assert.equal(guest.process?.state, "running");
  });
});

test("stdin arrives whole and is closed", async () => {
  await withRun(async ({ guest, seen, run }) => {
    const text = "0123456789".repeat(30_000);
    const ended = await run({ stdin: chunks(text, 7000), onStart: () => endWhenClosed(guest) });
    assert.equal(ended.exitCode, 0);
    assert.equal(guest.received.toString(), text);
    assert.equal(seen.breaks, 0);
  });
});

test("stdin over a breaking line loses and repeats no byte", async () => {
  await withRun(async ({ guest, server, run }) => {
    const text = Array.from({ length: 40_000 }, (_, line) => `line ${line}\n`).join("");
    let requests = 0;
    guest.intercept = (request) => {
      if (!request.url?.includes("/stdin")) return false;
      requests += 1;
      // every second one is cut while its body arrives
      if (requests % 2 === 1) request.once("data", () => setImmediate(() => server.cut()));
      return false;
    };
    const ended = await run({ stdin: chunks(text, 50_000), onStart: () => endWhenClosed(guest) });
    assert.equal(ended.exitCode, 0);
    assert.ok(requests > 2);
    assert.equal(guest.received.length, text.length);
    assert.equal(guest.received.toString(), text);
  });
});

test("a process that ends without reading its stdin is no failure", async () => {
  await withRun(async ({ guest, run }) => {
    guest.intercept = (request, response) => {
      if (!request.url?.includes("/stdin")) return false;
      guest.exit(0);
      problem(response, "guest_conflict", "it has ended");
      return true;
    };
    assert.equal((await run({ stdin: chunks("much", 1) })).exitCode, 0);
  });
});

test("a source of stdin that fails ends the run with its error", async () => {
  await withRun(async ({ run }) => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("a");
      throw new Error("the disk is gone");
    }
    await assert.rejects(run({ stdin: broken() }), /the disk is gone/);
  });
});

function endWhenClosed(guest: FakeGuest): void {
  const look = (): void => {
    if (guest.process?.stdin.state === "closed") guest.exit(0);
    else setImmediate(look);
  };
  look();
}

async function* chunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield await Promise.resolve(Buffer.from(text.slice(at, at + size)));
}

/** a terminal at which nobody types */
async function* silent(): AsyncGenerator<Uint8Array> {
  await new Promise(() => {});
  yield Buffer.alloc(0);
}
