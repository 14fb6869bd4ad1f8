import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { eventually, withDaemon } from "@workfort/testing";

const params = { vm: "dev" };
const tries = 20;

test("a command whose caller leaves at once has its whole input and ends", () =>
  withDaemon({}, async (daemon) => {
    const { client, locations } = daemon;
    await daemon.importBase();
    await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await client.call("vm.start", { params, body: {} });
    const input = "x".repeat(3000);
    for (let at = 0; at < tries; at += 1) {
      const body = JSON.stringify({ argv: ["sh", "-c", `cat >/srv/input-${at}`], stdin: input });
      const socket = connect(locations.socket).on("error", () => {});
      socket.write(
        `POST /v1/vms/dev/exec HTTP/1.1\r\nhost: daemon\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        () => setTimeout(() => socket.destroy(), at), // each a little later
      );
      await once(socket, "close");
    }
    const script = "stat -c %s /srv/input-* | sort | uniq -c";
    await eventually(
      async () => (await client.call("vm.exec", { params, body: { argv: ["sh", "-c", script] } })).stdout,
      (sizes) => /^ *\d+ 3000\n$/.test(sizes),
    );
    await eventually(
      async () => (await client.call("process.list", { params })).processes.filter(({ state }) => state === "running"),
      (running) => running.length === 0,
    );
  }));
