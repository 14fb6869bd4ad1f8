import assert from "node:assert/strict";
import { existsSync, promises as fs } from "node:fs";
import { test } from "node:test";
import { eventually } from "@workfort/testing";
import { bytesOf, noContent, withBody, withProgram } from "./firecracker-program.ts";
import { transcript, type Step } from "./firecracker-transcript.ts";

/** What Firecracker answers before it boots anything, asked of its double, or of itself (firecracker-program.ts). */
const version = '{"firecracker_version":"1.15.1"}';
const getVersion = "GET /version HTTP/1.1\r\n\r\n";

function transportError(message: string): string {
  return withBody(400, `{ "error": "${message}\nAll previous unanswered requests will be dropped." }`);
}

function answerOf([, answer, more]: Step): string {
  const deprecation = more === "deprecated" ? "Deprecation: true\r\n" : "";
  if (answer === 204) return noContent.replace("\r\n\r\n", `\r\n${deprecation}\r\n`);
  if (/^[{["\d]/.test(answer)) return withBody(200, answer);
  return withBody(more === 413 ? 413 : 400, JSON.stringify({ fault_message: answer }), deprecation);
}

for (const [part, steps] of Object.entries(transcript))
  test(`answers as recorded: ${part}`, async () => {
    await withProgram({}, async (running) => {
      await running.ready();
      for (const step of steps) assert.equal(await running.ask(step[0]), answerOf(step), step[0]);
    });
  });

test("refuses what is no request it can take, and goes on", async () => {
  const formatted = (key: string): string => `Invalid header. Reason: Header is incorrectly formatted. Key: ${key}`;
  const invalid = (name: string, value: string): string =>
    `Invalid header. Reason: Invalid value. Key:${name}; Value:${value}`;
  const head = (header: string): string => `GET /version HTTP/1.1\r\n${header}\r\n\r\n`;
  const longest = `X-${"a".repeat(1017)}: b`;
  const cases: [string, string][] = [
    ["POST / HTTP/1.1\r\n\r\n", transportError("Invalid HTTP Method: Unsupported HTTP method.")],
    ["DELETE / HTTP/1.1\r\n\r\n", transportError("Invalid HTTP Method: Unsupported HTTP method.")],
    ["GET / HTTP/2.0\r\n\r\n", transportError("Invalid HTTP Version: Unsupported HTTP version.")],
    ["GET  / HTTP/1.1\r\n\r\n", transportError("Invalid URI: Empty URI not allowed.")],
    ["GET /\r\n\r\n", transportError("Invalid request.")],
    ["GET /version HTTP/1.0\r\n\r\n", withBody(200, version)],
    [head("NoColon"), transportError(formatted("NoColon"))],
    [head("content-length: x"), transportError(invalid("content-length", " x"))],
    [head("Content-Length: 4294967296"), transportError(invalid("Content-Length", " 4294967296"))],
    [head("Accept-Encoding: identity;q=0"), transportError(invalid("Accept-Encoding", "identity;q=0"))],
    [head("Anything: of it\r\nConnection: close"), withBody(200, version)],
    [head(longest), withBody(200, version)],
    [
      head(`a${longest}`),
      transportError(`Invalid header. Reason: Invalid content length. Header: ${`a${longest}\r`.slice(0, 1024)}`),
    ],
    [`GET /${"a".repeat(1009)} HTTP/1.1\r\n\r\n`, transportError("Invalid request.").repeat(2)],
    [
      "PUT /mmds HTTP/1.1\r\nContent-Length: 51201\r\n\r\n",
      transportError("Request payload with size 51201 is larger than the limit of 51200 allowed by server."),
    ],
    [
      "PUT /mmds HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
      transportError("Invalid request."), // the chunks, after the request without a body, of which nothing is said
    ],
    [
      "PUT /mmds HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
      "HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n",
    ],
  ];
  await withProgram({}, async (running) => {
    await running.ready();
    for (const [request, answer] of cases) {
      const connection = running.connect().send(request);
      const answers = await connection.answers(answer.split("HTTP/1.1 ").length - 1);
      assert.equal(answers.slice(0, answer.length), answer, request); // the rest of a line may be refused once more
      connection.socket.destroy();
    }
    assert.equal(await running.ask("GET /version"), withBody(200, version));
  });
});

test("answers requests in a row, in pieces, and drops them all for one that is none", async () => {
  await withProgram({}, async (running) => {
    await running.ready();
    const connection = running.connect();
    await connection.send(getVersion.repeat(2) + bytesOf("PUT /x") + getVersion).answers(4);
    const refused = withBody(400, '{"fault_message":"Empty PUT request."}');
    const answers = withBody(200, version).repeat(2) + refused + withBody(200, version);
    assert.equal(connection.received, answers);
    for (const piece of ["GET /ver", "sion HTTP/1.1\r", "\n\r\n"]) connection.send(piece);
    assert.equal(await connection.answers(5), answers + withBody(200, version));
    connection.send(`${getVersion}none\r\n\r\n${getVersion}`);
    assert.equal(await connection.answers(6), answers + withBody(200, version) + transportError("Invalid request."));
    // what follows a header it does not understand is still a header
    connection.send(`GET / HTTP/1.1\r\nNone\r\n\r\n`);
    await connection.answers(7);
    connection.send(getVersion);
    assert.match((await connection.answers(8)).slice(-200), /Key: GET \/version HTTP\/1\.1\n/);
  });
});

test("has ten connections and turns the eleventh away", async () => {
  await withProgram({}, async (running) => {
    await running.ready();
    const open = Array.from({ length: 10 }, () => running.connect());
    for (const connection of open) await connection.send(getVersion).answers();
    const eleventh = running.connect();
    await eventually(
      () => eleventh.isClosed,
      (closed) => closed,
    );
    assert.equal(
      eleventh.received,
      'HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n\r\n{ "error": "Too many open connections" }',
    );
    open[0]?.socket.destroy();
    await eventually(
      () => running.ask("GET /version"),
      (answer) => answer === withBody(200, version),
    );
  });
});

test("fails where its socket exists, and leaves its own behind", async () => {
  await withProgram({ args: ["--id", "vm-1"] }, async (running) => {
    await running.ready();
    assert.match(await running.ask("GET /"), /"id":"vm-1"/);
    assert.equal(await running.ask('PUT /vsock {"guest_cid":3,"uds_path":"v1"}'), noContent);
    assert.equal(await running.ask('PUT /vsock {"guest_cid":3,"uds_path":"v2"}'), noContent);
    assert.equal(existsSync(running.path("v1")), false);
    running.kill("SIGTERM");
    assert.equal(await running.end(), "SIGTERM");
    assert.ok(existsSync(running.path("api")) && existsSync(running.path("v2")));
    await fs.rm(running.path("v2"));
  });
  await withProgram({ args: ["--api-sock", "disk"], withoutApi: true }, async (running) => {
    assert.equal(await running.end(), 1);
    assert.match(running.output, /Failed to open the API socket at: disk\. Check that it is not already used\.\n/);
    assert.match(running.output, /\[anonymous-instance:main\] Firecracker exiting with error\. exit_code=1\n$/);
  });
});

test("says what it is, and refuses flags and settings with their exit codes", async () => {
  const cases: [string[], number, RegExp][] = [
    [
      ["--version"],
      0,
      /^Firecracker v1\.15\.1\n\n\S+ \[anonymous-instance:main\] Firecracker exiting successfully\. exit_code=0\n$/,
    ],
    [["--help"], 0, /\n {2}--api-sock <api-sock>/],
    [["--foo"], 153, /Found argument 'foo' which wasn't expected, or isn't valid in this context\. \\n\\nFor more/],
    [["--id"], 153, /The argument 'id' requires a value, but none was supplied\./],
    [["--no-api"], 153, /Argument 'config-file' required, but not found\./],
    [["--level", "bad"], 152, /Invalid value for logger level: Failed to parse string to level filter: bad\./],
    [
      ["--api-sock", "a", "--log-path", "no/such"],
      1,
      /Could not initialize logger: Failed to open target file: No such/,
    ],
    [["--api-sock", "a", "--metrics-path", "no/such"], 1, /Could not initialize metrics: Cannot initialize/],
  ];
  for (const [args, code, output] of cases)
    await withProgram({ args, withoutApi: true }, async (running) => {
      assert.equal(await running.end(), code, args.join(" "));
      assert.match(running.output, output);
    });
  await withProgram({ args: ["--id", "a_b"], withoutApi: true }, async (running) => {
    assert.equal(await running.end(), "SIGABRT");
  });
});

test("logs requests with their bodies, but not the metadata", async () => {
  await withProgram({ args: ["--show-level"] }, async (running) => {
    await running.ready();
    for (const request of [
      'PUT /mmds {"a":1}',
      "PUT /vsock {}",
      "GET /nope",
      'PUT /logger {"log_path":"log"}',
      "GET /",
    ])
      await running.ask(request);
    const messages = (text: string): string[] => text.split("\n").map((line) => line.replace(/^\S+ /, ""));
    const info = "[anonymous-instance:fc_api:INFO]";
    assert.deepEqual(messages(running.output), [
      "[anonymous-instance:main:INFO] Running Firecracker v1.15.1",
      '[anonymous-instance:main:INFO] Listening on API socket ("api").',
      `${info} API server started.`,
      `${info} The API server received a Put request on "/mmds".`,
      `${info} The request was executed successfully. Status code: 204 No Content.`,
      `${info} The API server received a Put request on "/vsock" with body "{}".`,
      '[anonymous-instance:fc_api:ERROR] SerdeJson(Error("missing field `guest_cid`", line: 1, column: 2))',
      `${info} The API server received a Get request on "/nope".`,
      '[anonymous-instance:fc_api:ERROR] InvalidPathMethod("nope", Get)',
      `${info} The API server received a Put request on "/logger" with body "{\\"log_path\\":\\"log\\"}".`,
      "",
    ]);
    assert.match(
      running.read("log"),
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9} \[anonymous-instance:fc_api:INFO\] The request/,
    );
  });
});

test("answers a snapshot it cannot load, and then exits", async () => {
  await withProgram({}, async (running) => {
    await running.ready();
    const connection = running.connect();
    connection.send(
      bytesOf('PUT /snapshot/load {"snapshot_path":"no","mem_backend":{"backend_type":"File","backend_path":"no"}}'),
    );
    assert.match(await connection.answers(), /^HTTP\/1\.1 400 \r\n[^]*Failed to open snapshot file: No such file/);
    assert.equal(await running.end(), 1);
  });
});
