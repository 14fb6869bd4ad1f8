import { createInterface } from "node:readline";
import * as message from "../../src/dns/message.ts";
import * as name from "../../src/dns/name.ts";
import * as record from "../../src/dns/record.ts";
import * as net from "node:net";
import * as dgram from "node:dgram";
import * as http from "node:http";
import * as tls from "node:tls";
import { runInThisContext } from "node:vm";

/** Runs functions that a test sends as text, in the namespace this process was started in; answers a line for each. */
const dns = { ...message, ...name, ...record };
export const tools = { net, dgram, http, tls, dns, kept: new Map<string, unknown>() };
export type Tools = typeof tools;

for await (const line of createInterface({ input: process.stdin })) {
  const { id, code, argument } = JSON.parse(line) as { id: number; code: string; argument: unknown };
  void answer(id, code, argument);
}

async function answer(id: number, code: string, argument: unknown): Promise<void> {
  try {
    const made = runInThisContext(`(${code})`) as (tools: Tools, argument: unknown) => unknown; // the test's own text
    tell({ id, result: (await made(tools, argument)) ?? null });
  } catch (error) {
    const { message, code: errno } = error as NodeJS.ErrnoException;
    tell({ id, error: `${errno ?? ""} ${message}` });
  }
}

function tell(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
