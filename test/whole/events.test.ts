import assert from "node:assert/strict";
import { connect } from "node:net";
import { request } from "node:http";
import { test } from "node:test";
import { runProcess, watchEvents, type WatchOptions } from "@workfort/client";
import { Event } from "@workfort/contract";
import { eventually, withDaemon, type TestDaemon } from "@workfort/testing";

const params = { vm: "dev" };

/** What a watcher has been told so far. */
class Watch {
  readonly events: Event[] = [];
  /** how often it was connected */
  opened = 0;
  readonly #ending = new AbortController();
  readonly #ended: Promise<void>;

  constructor(daemon: TestDaemon, options: WatchOptions = {}) {
    const onOpen = (): void => void (this.opened += 1);
    this.#ended = this.#follow(watchEvents(daemon.client, { ...options, onOpen, signal: this.#ending.signal }));
    this.#ended.catch(() => {});
  }

  /** Resolves when it is told all that changes from now on. */
  static async open(daemon: TestDaemon, options: WatchOptions = {}): Promise<Watch> {
    const watch = new Watch(daemon, options);
    await eventually(
      () => watch.opened,
      (opened) => opened > 0,
    );
    return watch;
  }

  /** each in a few words, without what differs from run to run */
  get told(): string[] {
    return this.events.map(describe);
  }

  /** Resolves with the first such event, told already or to come. */
  async until(words: string): Promise<Event> {
    await eventually(
      () => this.told,
      (told) => told.includes(words),
    );
    return this.events[this.told.indexOf(words)] as Event;
  }

  async end(): Promise<void> {
    this.#ending.abort();
    await this.#ended;
  }

  async #follow(events: AsyncIterable<Event>): Promise<void> {
    for await (const event of events) this.events.push(Event.parse(event));
  }
}

function describe(event: Event): string {
  switch (event.type) {
    case "vm.state_changed":
      return `${event.vmName}: ${event.from} to ${event.to}`;
    case "drive.attached":
    case "drive.detached":
      return `${event.type} ${event.driveName} ${event.vmName}`;
    case "gap":
      return `gap: ${event.reason}`;
    default: {
      const names = event as { vmName?: string; imageName?: string; workspaceName?: string; driveName?: string };
      const name = names.vmName ?? names.imageName ?? names.workspaceName ?? names.driveName;
      return name === undefined ? event.type : `${event.type} ${name}`;
    }
  }
}

/** Numbers follow one another without a hole, all of one run of the daemon. */
function assertWhole(events: readonly Event[]): void {
  const [run, first] = events[0]?.id.split("-") ?? [];
  assert.deepEqual(
    events.map(({ id }) => id),
    events.map((_, place) => `${run}-${Number(first) + place}`),
  );
}

async function createVm({ client }: TestDaemon, name: string): Promise<void> {
  await client.call("vm.create", { body: { name, image: "base", memoryMiB: 256 } });
}

const driveCycle = [
  ["drive.attach", { params: { drive: "data" }, body: { vm: "dev" } }],
  ["drive.detach", { params: { drive: "data" } }],
] as const;

/** Makes `count` pairs of events. */
async function makeEvents({ client }: TestDaemon, count: number): Promise<void> {
  for (let round = 0; round < count; round += 1) {
    await client.call(...driveCycle[0]);
    await client.call(...driveCycle[1]);
  }
}

test("a VM's life is told whole and in order, to all and to who asked for a part", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    const all = await Watch.open(daemon);
    const states = await Watch.open(daemon, { vm: "dev", types: ["vm.state_changed", "vm.deleted"] });
    await daemon.importBase();
    await createVm(daemon, "dev");
    await client.call("drive.create", { body: { name: "data", sizeBytes: 64 * 1024 ** 2 } });
    await client.call(...driveCycle[0]);
    await client.call("vm.start", { params, body: {} });
    const { agent, agentSince, agentVersion } = await client.call("vm.get", { params });
    assert.deepEqual([agent, agentVersion?.split(".").length], ["ready", 3]);
    assert.ok(agentSince !== null && agentSince <= Date.now());
    await client.call("vm.pause", { params });
    await client.call("vm.resume", { params });
    await client.call("vm.stop", { params, body: {} });
    await client.call("drive.resize", { params: { drive: "data" }, body: { sizeBytes: 128 * 1024 ** 2 } });
    await assert.rejects(client.call("vm.stop", { params, body: {} }), { code: "wrong_state" });
    await client.call("vm.delete", { params });
    await client.call("drive.delete", { params: { drive: "data" } });
    await client.call("workspace.create", { body: { name: "spare", image: "base" } });
    await client.call("workspace.delete", { params: { workspace: "spare" } });
    await client.call("image.delete", { params: { image: "base" } });
    await all.until("image.deleted base");
    await states.until("vm.deleted dev");
    assert.deepEqual(
      all.told.filter((words) => words !== "agent.unreachable dev"), // the line may break before the end is told
      [
        "image.created base",
        "workspace.created dev",
        "vm.created dev",
        "drive.created data",
        "drive.attached data dev",
        "dev: created to starting",
        "dev: starting to running",
        "agent.ready dev",
        "dev: running to paused",
        "dev: paused to running",
        "dev: running to stopping",
        "dev: stopping to stopped",
        "drive.resized data",
        "drive.detached data dev",
        "vm.deleted dev",
        "workspace.deleted dev",
        "drive.deleted data",
        "workspace.created spare",
        "workspace.deleted spare",
        "image.deleted base",
      ],
    );
    assertWhole(all.events);
    assert.deepEqual(
      states.told,
      all.told.filter((words) => words.startsWith("dev: ") || words === "vm.deleted dev"),
    );
    await Promise.all([all.end(), states.end()]);
  }));

test("a watcher goes on where its line broke; over a restart of the daemon it is told of the gap", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await createVm(daemon, "dev");
    await daemon.client.call("drive.create", { body: { name: "data", sizeBytes: 32 * 1024 ** 2 } });
    const first = await Watch.open(daemon);
    await makeEvents(daemon, 3);
    await first.until("drive.detached data dev");
    await eventually(
      () => first.events.length,
      (length) => length === 6,
    );
    await first.end();
    await makeEvents(daemon, 2);
    const second = await Watch.open(daemon, { after: first.events[3]?.id });
    await makeEvents(daemon, 1);
    await eventually(
      () => second.events.length,
      (length) => length === 8,
    );
    assertWhole([...first.events.slice(0, 4), ...second.events]);

    // one that has been told nothing yet is told of the gap, too
    const silent = await Watch.open(daemon, { types: ["image.deleted"] });
    for (const end of [() => daemon.die(), () => daemon.stop()]) {
      const before = second.events.length;
      await end();
      await daemon.start();
      await eventually(
        () => second.told.slice(before),
        (told) => told.includes("daemon.ready"),
      );
      const told = second.told.slice(before).filter((words) => words !== "daemon.stopping");
      assert.deepEqual(told, ["gap: restarted", "daemon.ready"]);
      await createVm(daemon, `after-${before}`);
      await second.until(`vm.created after-${before}`);
    }
    assert.equal(second.told.filter((words) => words === "daemon.stopping").length, 1);
    await eventually(
      () => silent.told.join(),
      (told) => told === "gap: restarted,gap: restarted",
    );
    await Promise.all([second.end(), silent.end()]);
  }));

test("more than is held is a gap; a reader that takes nothing costs the daemon nothing, and a hundred are served", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await createVm(daemon, "dev");
    await daemon.client.call("drive.create", { body: { name: "data", sizeBytes: 32 * 1024 ** 2 } });
    const early = await Watch.open(daemon);
    await makeEvents(daemon, 1);
    await early.until("drive.detached data dev");
    await early.end();
    const place = early.events[0]?.id;

    const stuck = stuckReader(daemon);
    await stuck.opened;
    const readers = await Promise.all(Array.from({ length: 100 }, () => Watch.open(daemon)));
    await makeEvents(daemon, 50);
    await eventually(
      () => readers.map(({ events }) => events.length),
      (lengths) => lengths.every((length) => length === 100),
    );
    for (const { events, told } of readers) {
      assertWhole(events);
      assert.ok(!told.some((words) => words.startsWith("gap")));
    }
    await Promise.all(readers.map(async (reader) => await reader.end()));

    await makeEvents(daemon, 1500);
    const late = await Watch.open(daemon, { after: place });
    await eventually(
      () => late.events.length,
      (length) => length > 1000,
    );
    assert.equal(late.told[0], "gap: forgotten");
    assertWhole(late.events);
    await late.end();
    assert.match(await stuck.rest(), /event: gap\ndata: \{[^\n]*"reason":"slow"\}\n\n\r?\n?0?/);
  }));

test("processes are told of from their start to their end, whoever waits for them, over the daemon's death too", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    await daemon.importBase();
    await createVm(daemon, "dev");
    await client.call("vm.start", { params, body: {} });
    const watch = await Watch.open(daemon, { types: ["process.started", "process.ended"] });
    const start = async (id: string, ...argv: string[]): Promise<void> => {
      await client.call("process.start", { params, body: { id, argv } });
    };
    const ends = (count: number): Promise<Extract<Event, { type: "process.ended" }>[]> =>
      eventually(
        () => watch.events.flatMap((event) => (event.type === "process.ended" ? [event] : [])),
        (ended) => ended.length === count,
      );

    await start("alone", "sh", "-c", "exit 7");
    await ends(1);
    await client.call("vm.exec", { params, body: { argv: ["sh", "-c", "kill -USR1 $$"] } });
    await runProcess(client, "dev", { id: "followed", argv: ["true"] });
    await runProcess(client, "dev", { id: "late", argv: ["sleep", "600"], timeoutMs: 50 });
    await assert.rejects(start("none", "/no/such/program"), { code: "command_not_found" });
    await assert.rejects(start("alone", "true"), { code: "guest_conflict" });
    const told = await ends(4);
    assert.deepEqual(
      told.map(({ exitCode, signal, timedOut }) => [exitCode, signal, timedOut]),
      [
        [7, null, false],
        [null, "USR1", false],
        [0, null, false],
        [null, "TERM", true],
      ],
    );
    const started = watch.events.flatMap((event) => (event.type === "process.started" ? [event] : []));
    assert.deepEqual(
      started.map(({ processId, command }) => [processId, command]),
      [
        ["alone", "sh"],
        [told[1]?.processId, "sh"],
        ["followed", "true"],
        ["late", "sleep"],
      ],
    );

    await start("survivor", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done");
    await watch.until("process.started dev");
    await daemon.die();
    await daemon.start();
    await eventually(
      () => watch.told,
      (words) => words.includes("gap: restarted"),
    );
    const before = watch.events.length;
    await eventually(
      () => client.call("vm.get", { params }),
      ({ agent }) => agent === "ready",
    );
    await client.call("vm.exec", { params, body: { argv: ["touch", "/tmp/go"] } });
    await eventually(
      () => watch.events.slice(before).map((event) => ("processId" in event ? event.processId : event.type)),
      (ids) => ids.includes("survivor"),
    );
    await watch.end();
  }));

/** A connection that reads the head of its answer and then nothing until it is asked for the rest. */
function stuckReader(daemon: TestDaemon): { opened: Promise<void>; rest: () => Promise<string> } {
  const socket = connect(daemon.locations.socket);
  const { promise: opened, resolve } = Promise.withResolvers<void>();
  socket.once("data", () => {
    socket.pause();
    resolve();
  });
  socket.write("GET /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const rest = async (): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  return { opened, rest };
}

test("the stream is that of the standard, and the header goes before the address", () =>
  withDaemon({}, async (daemon) => {
    const { headers, text } = await readUntil(daemon, "/v1/events", {}, (sofar) => sofar.endsWith("\n\n"));
    assert.equal(headers["content-type"], "text/event-stream");
    assert.equal(headers["cache-control"], "no-store");
    const [, place = ""] = /^:\nid: ([0-9a-f]{12}-\d+)\n\n$/.exec(text) ?? [];
    await daemon.importBase();
    const old = "0123456789ab-1";
    const told = await readUntil(daemon, `/v1/events?after=${old}`, { "last-event-id": place }, (sofar) =>
      sofar.includes("image.created"),
    );
    assert.match(told.text, /^id: (\S+)\nevent: image\.created\ndata: \{"id":"\1",[^\n]*\}\n\n$/);
  }));

async function readUntil(
  daemon: TestDaemon,
  path: string,
  headers: Record<string, string>,
  isEnough: (text: string) => boolean,
): Promise<{ headers: Record<string, unknown>; text: string }> {
  const outgoing = request({ socketPath: daemon.locations.socket, path, headers, agent: false });
  const { promise, resolve, reject } = Promise.withResolvers<{ headers: Record<string, unknown>; text: string }>();
  outgoing.once("error", reject);
  outgoing.once("response", (incoming) => {
    let text = "";
    incoming.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (!isEnough(text)) return;
      resolve({ headers: incoming.headers, text });
      outgoing.destroy();
    });
  });
  outgoing.end();
  return await promise;
}
