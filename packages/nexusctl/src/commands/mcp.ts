import { once } from "node:events";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { doing } from "../failures.ts";
import { ownVersion } from "../own-version.ts";
import { text } from "../parse.ts";

interface Flags {
  readonly vm?: string;
}

export default defineCommand({
  parameters: {
    flags: {
      vm: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "NAME",
        brief: "the only VM that is offered; its tools need no name then",
      },
    },
  },
  about:
    "For MCP clients that start their servers themselves. Over HTTP it is at /mcp, with a token: nexusctl token create.",
  examples: [
    ["mcp", "all VMs, and tools that make more"],
    ["mcp --vm dev", "commands in one VM"],
  ],
  async run(cli: Cli, flags: Flags) {
    const { vm } = flags;
    if (vm !== undefined) await doing(`offer VM "${vm}"`, () => cli.client.call("vm.get", { params: { vm } }));
    const [{ serveStdio }, { makeMcpServer }] = await Promise.all([
      import("@modelcontextprotocol/server/stdio"),
      import("@workfort/mcp"),
    ]);
    const served = serveStdio(() =>
      makeMcpServer({ daemon: cli.client, version: ownVersion(), vm: vm ?? null, tools: null }),
    );
    await once(process.stdin, "close");
    await served.close();
  },
});
