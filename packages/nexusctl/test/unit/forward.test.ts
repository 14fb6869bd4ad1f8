import assert from "node:assert/strict";
import { test } from "node:test";
import { parseForward } from "../../src/forward/specification.ts";

test("the ends of a forward, as people write them", () => {
  const ends: [text: string, ends: ReturnType<typeof parseForward>][] = [
    ["8080:3000", { hostPort: 8080, guestPort: 3000 }],
    ["3000", { hostPort: 3000, guestPort: 3000 }],
    [":3000", { hostPort: 0, guestPort: 3000 }],
    ["0:3000", { hostPort: 0, guestPort: 3000 }],
    ["0.0.0.0:8080:3000", { hostAddress: "0.0.0.0", hostPort: 8080, guestPort: 3000 }],
    ["[::1]:8080:3000", { hostAddress: "::1", hostPort: 8080, guestPort: 3000 }],
    ["/run/app.sock:3000", { hostSocket: "/run/app.sock", guestPort: 3000 }],
    ["5432:/run/.s.PGSQL", { hostPort: 5432, guestSocket: "/run/.s.PGSQL" }],
    ["/a:/b", { hostSocket: "/a", guestSocket: "/b" }],
  ];
  for (const [text, expected] of ends) assert.deepEqual(parseForward(text), expected, text);
});

test("what is no forward is refused with an example", () => {
  for (const text of [
    "",
    "web",
    "8080:",
    "8080:0",
    "70000",
    "1:2:3:4",
    "::1:80:80",
    "/only/a/socket",
    "-1:80",
    "80:http",
    "a b:1",
  ])
    assert.throws(() => parseForward(text), /takes \[ADDRESS:\]HOST-PORT:GUEST-PORT such as 8080:3000/, text);
});
