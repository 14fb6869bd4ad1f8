import assert from "node:assert/strict";
import { test } from "node:test";
import { operationNames, operations, type Operation, type OperationName } from "@workfort/contract";
import { assertTidy, eventually, withDaemon } from "@workfort/testing";
import * as fc from "fast-check";
import type * as z from "zod";
import { ask, problemOf, RawConnection, type Answer, type Ask } from "./raw-http.ts";

/** What can come in at the Unix socket, and what is said to it. */

/** the least that each operation takes */
const least = {
  "vm.create": { name: "other", image: "none" },
  "vm.start": {},
  "vm.stop": {},
  "vm.exec": { argv: ["true"] },
  "process.start": { argv: ["true"] },
  "process.signal": { signal: "TERM" },
  "vm.terminal.create": {},
  "vm.terminal.resize": { columns: 80, rows: 24 },
  "image.import": { name: "other", source: "/nonexistent" },
  "workspace.create": { name: "other", image: "none" },
  "drive.create": { name: "other" },
  "drive.attach": { vm: "dev" },
  "drive.resize": { sizeBytes: 1024 ** 3 },
  "network.policy.set": {},
  "vm.policy.set": {},
  "vm.policy.edit": { allow: ["example.com"] },
  "service.create": { name: "other", port: 8080, target: "127.0.0.1:11434" },
  "token.create": { name: "other", vms: [] },
  "forward.create": { hostPort: 0, guestPort: 80 },
  "vm.files.move": { from: "/a", to: "/b" },
  "vm.files.delete": { path: "/a" },
  "vm.files.mkdir": { path: "/a" },
  "vm.files.search": { path: "/a" },
} as const satisfies Partial<Record<OperationName, object>>;
type WithBody = keyof typeof least;

const notNames = [1, null, "", "UPPER", "under_score", "-a", "a-", "a".repeat(64), "a\n", "ä"];
const notReferences = [1, null, [], "vm_short", "VM", ""];
const notNumbers = ["1", null, 1.5, true, {}, 1e300, -1e300];
const notHostPaths = [1, "", "relative", "/a\0b", `/${"a".repeat(4096)}`];
const notDriveSizes = [...notNumbers, 32 * 1024 ** 2 - 1, 16 * 1024 ** 4 + 1];
const notSides = [...notNumbers, 0, 1001];
const notGuestPaths = [1, null, "", "relative", "~user/x", "/a\0b", `/${"a".repeat(4096)}`];
const notUsers = [0, null, "", "a".repeat(257), "a\0b"];
const notFlags = ["true", 1, null];
const command = {
  argv: ["true", [], [1], ["a\0b"], Array.from({ length: 4097 }, () => "")],
  env: [[], "A=1", { A: 1 }, { "": "a" }, { "A=B": "a" }, { A: "a\0b" }, { "A\0": "a" }],
  cwd: [1, "", "/a\0b", "/".repeat(4097)],
  user: [0, "", "a".repeat(257), "a\0b"],
  timeoutMs: [...notNumbers, 0, 604_800_001],
};

const notEntries = ["example.com", {}, [1], [""], ["a b"], ["*"], ["*.*.com"], ["http://a.test"], ["preset:none"]];
const notPorts = ["a:0", "a:65536", "a:2-1", "a:1/sctp", "192.0.2.1:0", "[::1]:0", ":::", "2001:db8::g", "192.0.2.256"];
const notRates = [...notNumbers.filter((value) => value !== null), 8191, 1024 ** 4 + 1];
const policy = {
  mode: [1, null, "closed", "OPEN"],
  allow: [
    ...notEntries,
    ...notPorts.map((entry) => [entry]),
    ["192.0.2.0/33"],
    Array.from({ length: 4097 }, (_, place) => `a${place}.test`),
  ],
  encryptedClientHello: [1, null, "maybe"],
  services: ["models", [1], ["UPPER"], Array.from({ length: 65 }, () => "models")],
  sendBytesPerSecond: notRates,
  receiveBytesPerSecond: notRates,
};

/** what each field refuses */
const refused: Record<WithBody, Record<string, readonly unknown[]>> = {
  "vm.create": {
    name: notNames,
    image: notReferences,
    workspace: notReferences,
    vcpuCount: [...notNumbers, 0, 33],
    memoryMiB: [...notNumbers, 63, 1_048_577],
    vmm: [1, null, "QEMU", "docker"],
    restart: [1, null, "sometimes", true],
    startOnBoot: ["true", 1, null],
    network: [
      1,
      null,
      "off",
      { nonsense: 1 },
      { enabled: "no" },
      { policy: null },
      { enabled: false, policy: {} },
      { policy: { mode: "closed" } },
      { policy: { mode: "none", allow: ["a.test"] } },
      { policy: { more: 1 } },
    ],
  },
  "vm.start": { waitForAgent: ["true", 1, null], timeoutMs: [...notNumbers, 999, 600_001] },
  "vm.stop": { graceMs: [...notNumbers, -1, 600_001] },
  "vm.exec": { ...command, stdin: [1, ["a"], "a".repeat(1_048_577)] },
  "process.start": {
    ...command,
    id: [1, "", "UPPER", "-a", "a".repeat(65)],
    stdin: [true, "closed"],
    attach: ["true", 1],
  },
  "process.signal": { signal: [0, 65, 1.5, "term", "", null, [9]] },
  "vm.terminal.create": {
    argv: command.argv,
    env: command.env,
    cwd: command.cwd,
    user: command.user,
    id: [1, null, "", "UPPER", "-a", "a".repeat(65)],
    columns: notSides,
    rows: notSides,
  },
  "vm.terminal.resize": { columns: notSides, rows: notSides },
  "image.import": {
    name: notNames,
    source: notHostPaths,
    sizeBytes: [...notNumbers, 16 * 1024 ** 2 - 1, 16 * 1024 ** 4 + 1],
  },
  "workspace.create": { name: notNames, image: notReferences },
  "drive.create": {
    name: notNames,
    sizeBytes: notDriveSizes,
    from: notHostPaths,
    snapshotOf: notReferences,
  },
  "drive.attach": {
    vm: notReferences,
    mountPath: [1, null, "", "relative", "/", "/..", "/a/./b", "/proc/x", "/a\0b", `/${"a".repeat(200)}`],
    readOnly: ["true", 1, null],
    rateLimit: [1, null, [], { bytesPerSecond: 65_535 }, { operationsPerSecond: "10" }, { nonsense: 1 }],
  },
  "drive.resize": { sizeBytes: notDriveSizes },
  "network.policy.set": policy,
  "vm.policy.set": policy,
  "vm.policy.edit": { allow: policy.allow, deny: policy.allow },
  "service.create": {
    name: notNames,
    port: [...notNumbers, 0, 65_536],
    target: [1, null, "", "11434", "127.0.0.1", "unix:relative", "unix:", "http://127.0.0.1:1", "a b:1"],
  },
  "token.create": {
    name: notNames,
    vms: ["dev", {}, [1], ["UPPER"], Array.from({ length: 1001 }, () => "dev")],
    tools: [null, "run_command", [], [1], ["Run"], Array.from({ length: 101 }, () => "run_command")],
    maxVms: [...notNumbers, -1, 1001],
    maxMemoryMiB: [...notNumbers, 63, 1_048_577],
    maxVcpuCount: [...notNumbers, 0, 33],
    expiresInSeconds: [...notNumbers, 0, 315_360_001],
  },
  "forward.create": {
    hostAddress: [1, null, "", "localhost", "300.1.1.1", "127.0.0.1:80"],
    hostPort: [...notNumbers, -1, 65_536],
    hostSocket: [1, null, "", "relative", "/a\0b", `/${"a".repeat(107)}`],
    guestPort: [...notNumbers, 0, 65_536],
    guestSocket: [1, null, "", "relative", "/a\0b", `/${"a".repeat(107)}`],
  },
  "vm.files.move": { from: notGuestPaths, to: notGuestPaths, overwrite: notFlags, user: notUsers },
  "vm.files.delete": { path: notGuestPaths, recursive: notFlags, user: notUsers },
  "vm.files.mkdir": {
    path: notGuestPaths,
    parents: notFlags,
    mode: [644, null, "", "64", "0o644", "0899", "00644"],
    user: notUsers,
  },
  "vm.files.search": {
    path: notGuestPaths,
    pattern: [1, null, "", "a\0b", "a".repeat(4097)],
    names: [1, null, "*", [1], [""], ["a\0b"], Array.from({ length: 65 }, () => "a")],
    ignoreCase: notFlags,
    hidden: notFlags,
    limit: [...notNumbers, 0, 10_001],
    timeoutMs: [...notNumbers, 0, 60_001],
    user: notUsers,
  },
};

/** of two fields one is to be given */
const instead: Record<string, string> = { workspace: "image", hostSocket: "hostPort", guestSocket: "guestPort" };

/** what a query needs beside the one that is tried */
const leastQuery = (name: OperationName): Record<string, string> =>
  row(name).query?.shape["path"] ? { path: "/a" } : {};
/** values that a text in a query refuses; of all else `nonsense` is one */
const refusedTexts: Record<string, readonly string[]> = {
  user: ["", "a%00b", "a".repeat(257)],
  owner: ["", "a%00b", "a".repeat(257)],
  after: ["", "a%00b", "a".repeat(4097)],
};
const pairsOf = (key: string): string[] => {
  const values = refusedTexts[key] ?? ["nonsense", "", "-1"];
  return [...values.map((value) => `${key}=${value}`), `${key}=1&${key}=2`];
};

/** what is taken by a field of a query that takes nearly any word */
const taken: Partial<Record<OperationName, Record<string, readonly string[]>>> = {
  "events.watch": { vm: ["nonsense"] },
  "network.log": { vm: ["nonsense"] },
  "forward.list": { vm: ["nonsense"] },
};
/** answers that do not end */
const endless: ReadonlySet<OperationName> = new Set(["events.watch"]);

const row = (name: OperationName): Operation => operations[name];
const shapeOf = (name: OperationName): string[] => Object.keys((row(name).body as z.ZodObject).shape);
/** parameters that are of a form of their own; the others are names or ids */
const formed: Record<string, string> = { "{forward}": "fwd_aaaaaaaaaaaa", "{port}": "1" };
const pathOf = (name: OperationName, value?: string): string =>
  row(name).path.replaceAll(/\{\w+\}/g, (place) => value ?? formed[place] ?? "none");
const askFor = (name: OperationName, body?: unknown): Ask => ({ method: row(name).method, path: pathOf(name), body });

/** Fails unless the answer names exactly this field, or a part of it, and says in plain words what is allowed. */
function assertRefuses(answer: Answer, field: string, about: unknown): void {
  const problem = problemOf(answer);
  const shown = `${JSON.stringify(about)?.slice(0, 200)}: ${problem.detail}`;
  assert.deepEqual([problem.status, problem.code], [400, "invalid_request"], shown);
  const [only, ...more] = problem.fields ?? [];
  assert.ok(only !== undefined && more.length === 0 && `${only.field}.`.startsWith(`${field}.`), shown);
  assert.match(only.message, /^(is missing; )?must be |^there is no such field$|^give either /, shown);
  assert.doesNotMatch(only.message, /expected|received|invalid/i, shown);
}

test("what comes in at the socket", async (context) => {
  await withDaemon({}, async (daemon) => {
    const door = { socketPath: daemon.locations.socket };
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base" } });

    // these are let go by the daemon's own clock while the other steps run
    const silent = new RawConnection(door);
    const slowHead = new RawConnection(door);
    slowHead.send("GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    const slowBody = new RawConnection(door);
    slowBody.send('POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"name":');

    await step("every field that a body may have is tried", async () => {
      const withBody = operationNames.filter((name) => row(name).body !== undefined);
      assert.deepEqual(Object.keys(refused).toSorted(), withBody.toSorted());
      for (const name of Object.keys(refused) as WithBody[])
        assert.deepEqual(Object.keys(refused[name]).toSorted(), shapeOf(name).toSorted(), name);
    });

    await step("a field that is wrong, unknown or missing is named, with what is allowed", async () => {
      for (const name of Object.keys(refused) as WithBody[]) {
        for (const [field, values] of Object.entries(refused[name]))
          for (const value of values) {
            const other = instead[field];
            const body = { ...least[name], ...(other === undefined ? {} : { [other]: undefined }), [field]: value };
            assertRefuses(await ask(door, askFor(name, body)), `body.${field}`, [name, body]);
          }
        const more = { ...least[name], nonsense: 1 };
        assertRefuses(await ask(door, askFor(name, more)), "body.nonsense", [name, more]);
        for (const field of Object.keys(least[name])) {
          const body = { ...least[name], [field]: undefined };
          assertRefuses(await ask(door, askFor(name, body)), `body.${field}`, [name, body]);
        }
        for (const body of ["[]", "5", '"text"', "null", "true"])
          assertRefuses(await ask(door, askFor(name, body)), "body", [name, body]);
      }
      const both = { name: "other", image: "base", workspace: "dev" };
      assertRefuses(await ask(door, askFor("vm.create", both)), "body.image", both);
      const limits = problemOf(await ask(door, askFor("vm.create", { ...least["vm.create"], memoryMiB: 1 })));
      assert.equal(limits.detail, "body.memoryMiB: must be a whole number of MiB from 64 to 1048576");
    });

    await step("a query is held to the same", async () => {
      for (const name of operationNames) {
        const { query, method } = row(name);
        for (const key of Object.keys(query?.shape ?? {}))
          for (const pair of pairsOf(key)) {
            if (taken[name]?.[key]?.includes(pair.slice(key.length + 1))) continue;
            const rest = Object.entries(leastQuery(name)).filter(([other]) => other !== key);
            const whole = [pair, ...rest.map(([other, value]) => `${other}=${value}`)].join("&");
            assertRefuses(await ask(door, { method, path: `${pathOf(name)}?${whole}` }), `query.${key}`, [name, whole]);
          }
        for (const key of Object.keys(leastQuery(name)))
          assertRefuses(await ask(door, { method, path: pathOf(name) }), `query.${key}`, name);
        const more = new URLSearchParams({ ...leastQuery(name), nonsense: "1" });
        assertRefuses(await ask(door, { method, path: `${pathOf(name)}?${more.toString()}` }), "query.nonsense", name);
      }
    });

    await step("so are the events that are asked for", async () => {
      const { path } = row("events.watch");
      const id = "0123456789ab-1";
      for (const after of ["0123456789AB-1", "0123456789ab", `${id}0000000000000000`, `${id}-1`, `${id}%0a`])
        assertRefuses(await ask(door, { path: `${path}?after=${after}` }), "query.after", after);
      for (const type of ["vm.created,", ",", "vm.created,gap", "vm.created vm.deleted", "vmxcreated", "VM.CREATED"])
        assertRefuses(await ask(door, { path: `${path}?type=${type.replace(" ", "%20")}` }), "query.type", type);
      for (const vm of ["UPPER", "vm_short", "a".repeat(64)])
        assertRefuses(await ask(door, { path: `${path}?vm=${vm}` }), "query.vm", vm);
      for (const value of ["nonsense", `${id}x`, "a".repeat(5000)]) {
        const answer = await ask(door, { path, headers: { "last-event-id": value } });
        assertRefuses(answer, "header.last-event-id", value);
      }
    });

    await step("a path is held to the same", async () => {
      for (const name of operationNames) {
        const { method, params } = row(name);
        const [first] = Object.keys(params?.shape ?? {});
        if (first === undefined) continue;
        for (const value of [
          "UPPER",
          "under_score",
          "",
          "%20",
          "%00",
          "%2e%2e",
          "..%2fstatus",
          "a".repeat(64),
          "%C3%A4",
        ]) {
          const answer = await ask(door, {
            method,
            path: row(name)
              .path.replace(/\{\w+\}/, value)
              .replace(/\{\w+\}/, "1")
              .concat(`?${new URLSearchParams(leastQuery(name)).toString()}`),
          });
          assertRefuses(answer, `path.${first}`, [name, value]);
        }
      }
      for (const value of ["%zz", "%", "%C3", "a".repeat(2000)])
        assertRefuses(await ask(door, { path: `/v1/vms/${value}` }), "path", value);
    });

    await step("what does not exist is not found, whatever is to be done with it", async () => {
      for (const name of operationNames) {
        const { method, path } = row(name);
        if (!path.includes("{")) continue;
        const query = new URLSearchParams(leastQuery(name));
        for (const value of [undefined, "vm_aaaaaaaaaaaa", "img_aaaaaaaaaaaa"]) {
          const body = name in least ? least[name as WithBody] : undefined;
          const problem = problemOf(
            await ask(door, { method, path: `${pathOf(name, value)}?${query.toString()}`, body }),
          );
          const isNone = /\{(process|terminal|forward|port)\}/.test(path) && value !== undefined;
          const expected = isNone ? "invalid_request" : "not_found";
          assert.equal(problem.code, expected, `${name} of ${value}: ${problem.detail}`);
        }
      }
      for (const body of [
        { name: "other", image: "none" },
        { name: "other", workspace: "none" },
      ])
        assert.equal(problemOf(await ask(door, askFor("vm.create", body))).code, "not_found");
      for (const path of ["/", "/v1", "/v1/", "/v1//vms", "//v1/vms", "/v2/vms", "/v1/vms/dev/none", "/V1/vms"])
        assert.equal(problemOf(await ask(door, { path })).code, "not_found", path);
    });

    await step("a path says which methods it takes", async () => {
      for (const path of new Set(operationNames.map((name) => row(name).path))) {
        const taken = operationNames
          .map(row)
          .filter((other) => other.path === path)
          .map(({ method }) => method);
        for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"]) {
          if ((taken as string[]).includes(method)) continue;
          const answer = await ask(door, { method, path: path.replaceAll(/\{\w+\}/g, "dev") });
          assert.equal(problemOf(answer).code, "method_not_allowed", `${method} ${path}`);
          assert.equal(answer.headers.allow, taken.join(", "), `${method} ${path}`);
        }
      }
    });

    await step("a body is JSON whatever its type is called, and nothing else", async () => {
      const path = "/v1/workspaces";
      const cases: unknown[] = [
        "{",
        "{]",
        "nonsense",
        "{} {}",
        '{"name":"a",}',
        "\u0000",
        Buffer.from([0xff, 0xfe, 0x7b]),
      ];
      for (const body of cases) assertNotJson(await ask(door, { method: "POST", path, body }), body);
      const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
      assertRefusesAll(await ask(door, { method: "POST", path, body: deep }), ["body.name", "body.image", "body.a"]);
      const proto = '{"name":"other","image":"none","__proto__":{"name":"b"}}';
      assertRefuses(await ask(door, { method: "POST", path, body: proto }), "body.__proto__", proto);
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
        const headers = { "content-type": type };
        const answer = await ask(door, { method: "POST", path, headers, body: { name: "other", image: "none" } });
        assert.equal(problemOf(answer).code, "not_found", type);
      }
      const headers = { "content-type": "nonsense" };
      assertRefuses(await ask(door, { method: "POST", path, headers, body: {} }), "header.content-type", headers);
      for (const body of [undefined, "", "{}"])
        assertRefusesAll(await ask(door, { method: "POST", path, body }), ["body.name", "body.image"]);
      const twice = '{"name":"UPPER","name":"other","image":"none"}';
      assert.equal(
        problemOf(await ask(door, { method: "POST", path, body: twice })).code,
        "not_found",
        "the last wins",
      );
    });

    await step("a body over the limit is refused, told length or not", async () => {
      const body = Buffer.alloc(8 * 1024 ** 2 + 1, " ");
      const ways = [{}, { chunked: true }] as const;
      for (const chunked of [...ways, ...ways, ...ways])
        assert.equal(
          problemOf(await ask(door, { method: "POST", path: "/v1/vms", body, ...chunked })).code,
          "too_large",
        );
      const barely = await ask(door, { method: "POST", path: "/v1/vms", body: body.subarray(1) });
      assertNotJson(barely, "spaces");
      const announced = new RawConnection(door);
      announced.send("POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n{");
      assert.match(await announced.closed(), /^HTTP\/1\.1 413 /, "it is not waited for");
    });

    await step("what is not HTTP is turned away, and the connection closed", async () => {
      const cases: [status: RegExp, bytes: string | Buffer][] = [
        [/^HTTP\/1\.1 400 /, Buffer.from("16030100a5010000a1030300", "hex")],
        [/^HTTP\/1\.1 400 /, "\0\0\0\0\r\n\r\n"],
        [/^HTTP\/1\.1 400 /, "SSH-2.0-OpenSSH_10.0\r\n"],
        [/^HTTP\/1\.1 400 /, "GET /v1/health HTTP/9.9\r\n\r\n"],
        [/^HTTP\/1\.1 400 /, "GET /v1/health HTTP/1.1\r\n\r\n"],
        [/^HTTP\/1\.1 400 /, "GET /v1/health HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"],
        [/^HTTP\/1\.1 400 /, "GET /v1/ health HTTP/1.1\r\nHost: a\r\n\r\n"],
        [/^HTTP\/1\.1 400 /, "POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"],
        [/^HTTP\/1\.1 400 /, "POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"],
        [/HTTP\/1\.1 400 /, "POST /v1/vms HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"],
        [
          /^HTTP\/1\.1 400 /,
          "POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
        [/^HTTP\/1\.1 431 /, `GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Large: ${"a".repeat(20_000)}\r\n\r\n`],
        [/^HTTP\/1\.1 431 /, `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
        [/^$/, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n"],
      ];
      for (const [status, bytes] of cases) {
        const connection = new RawConnection(door);
        connection.send(bytes);
        assert.match(await connection.closed(), status, JSON.stringify(bytes.toString().slice(0, 100)));
      }
    });

    await step("requests sent without waiting are answered in their order", async () => {
      const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
      const post = (body: string): string =>
        `POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const connection = new RawConnection(door);
      connection.send(get("/v1/status") + post("{") + get("/v1/none") + post("{}") + get("/v1/health"));
      await eventually(
        () => connection.statuses,
        ({ length }) => length >= 5,
      );
      assert.deepEqual(connection.statuses, [200, 400, 404, 400, 200]);
      connection.send(get("/v1/health"));
      await eventually(
        () => connection.statuses,
        ({ length }) => length >= 6,
      );
      connection.finish();
      await connection.closed();
      assert.equal(connection.statuses.at(-1), 200, "the connection is kept");
    });

    await step("callers who leave early do no harm", async () => {
      const head = "Host: a\r\n\r\n";
      const begun = ["G", "GET /v1/health HTTP/1.1\r\n", `GET /v1/status HTTP/1.1\r\n${head}`];
      const body = `POST /v1/vms HTTP/1.1\r\nContent-Length: 100\r\n${head}{`;
      for (const sent of [...begun, body])
        for (let round = 0; round < 20; round += 1) await new RawConnection(door).sendAndLeave(sent);
      assert.equal((await daemon.client.call("system.health")).status, "ok");
    });

    await step("nothing that is made up gets a defect for an answer", async () => {
      const word = fc.oneof(
        fc.constantFrom("v1", "vms", "dev", "images", "base", "workspaces", "processes", "none", "..", "%2f", "%", ""),
        fc.string({ maxLength: 20 }).map((text) => encodeURIComponent(text.toWellFormed())),
      );
      const path = fc.array(word, { maxLength: 6 }).map((words) => `/${words.join("/")}`);
      const query = fc.webQueryParameters().map((text) => (text === "" ? "" : `?${text}`));
      // nothing that is made up exists, so nothing is changed: an import's source is no absolute path
      const body = fc.oneof(
        fc.json(),
        fc.string(),
        fc.object({ key: fc.constantFrom("name", "image", "argv", "env", "x") }),
      );
      const method = fc.constantFrom("GET", "POST", "PUT", "PATCH");
      const known = fc.constantFrom(
        ...operationNames.filter((name) => name !== "vm.start" && name !== "vm.delete" && !endless.has(name)),
      );
      const asks = fc.oneof(
        fc.record({ method, path: fc.tuple(path, query).map((parts) => parts.join("")), body }),
        fc
          .record({ name: known, body, query })
          .map(({ name, body, query }) => ({ ...askFor(name, body), path: pathOf(name) + query })),
      );
      await fc.assert(
        fc.asyncProperty(asks, async (one) => {
          const { status, body } = await ask(door, one);
          assert.ok(status >= 200 && status < 500, `${status} ${body.toString()}`);
        }),
        { numRuns: 1000, seed: 20_260 },
      );
    });

    await step("who sends too slowly is let go", async () => {
      assert.equal(await silent.closed(), "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
      assert.equal(await slowHead.closed(), "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
      assert.match(await slowBody.closed(), /^HTTP\/1\.1 408 [^]*"code":"request_timeout"/);
    });

    await step("after all that the daemon is as it was", async () => {
      const { vms } = await daemon.client.call("vm.list");
      assert.deepEqual(
        vms.map(({ name, state }) => [name, state]),
        [["dev", "created"]],
      );
      assert.deepEqual(
        daemon.log.split("\n").filter((line) => /defect|unheard|"error"/.test(line)),
        [],
      );
      await assertTidy(daemon);
    });
  });
});

function assertNotJson(answer: Answer, about: unknown): void {
  const { code, fields } = problemOf(answer);
  assert.deepEqual([code, fields], ["invalid_request", [{ field: "body", message: "must be JSON" }]], String(about));
}

function assertRefusesAll(answer: Answer, fields: string[]): void {
  const problem = problemOf(answer);
  assert.equal(problem.code, "invalid_request");
  assert.deepEqual(problem.fields?.map(({ field }) => field).toSorted(), fields.toSorted());
}
