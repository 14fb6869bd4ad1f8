import { request, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { Denial, VmNetworkCounters, WorkfortError, type NetworkPolicy } from "@workfort/contract";
import * as z from "zod";
import {
  GatewayInventory,
  GatewayStatus,
  type GatewaySettings,
  type GatewayState,
  type GatewayVm,
} from "./gateway-protocol.ts";

/** nobody listens, or the gateway went away under a request */
export class GatewayGone extends Error {
  override readonly name = "GatewayGone";
}

/** for one VM or a question, ms */
const answerBoundMs = 15_000;
/** for the state of all, ms */
const stateBoundMs = 120_000;
const maxAnswerBytes = 16 * 1024 * 1024;

const Empty = z.object({});
const ErrorBody = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/**
 * The daemon's side of codex/reference/gateway-protocol.md.
 *
 * Every question has a connection of its own: a kept one may be closed by the gateway just when the next question
 * goes out, and those who follow denials hold theirs for hours.
 */
export class GatewayClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  async status(): Promise<GatewayStatus> {
    return await this.#ask("GET", "/v1/status", GatewayStatus);
  }

  async putState(state: GatewayState): Promise<void> {
    await this.#ask("PUT", "/v1/state", Empty, state, stateBoundMs);
  }

  async putSettings(settings: GatewaySettings): Promise<void> {
    await this.#ask("PUT", "/v1/settings", Empty, settings, stateBoundMs);
  }

  async putVm(vm: GatewayVm): Promise<void> {
    await this.#ask("PUT", `/v1/vms/${vm.id}`, Empty, vm);
  }

  async deleteVm(vmId: string): Promise<void> {
    await this.#ask("DELETE", `/v1/vms/${vmId}`, Empty);
  }

  async putPolicy(vmId: string, policy: NetworkPolicy): Promise<void> {
    await this.#ask("PUT", `/v1/vms/${vmId}/policy`, Empty, policy);
  }

  /** Null for a VM that has no interface. */
  async counters(vmId: string): Promise<VmNetworkCounters | null> {
    try {
      return await this.#ask("GET", `/v1/vms/${vmId}/counters`, VmNetworkCounters);
    } catch (error) {
      if (error instanceof WorkfortError && error.code === "not_found") return null;
      throw error;
    }
  }

  async inventory(): Promise<GatewayInventory> {
    return await this.#ask("GET", "/v1/inventory", GatewayInventory);
  }

  async *denials(
    query: { after: number; vmId: string | null; follow: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<Denial> {
    const words = new URLSearchParams({ after: String(query.after), follow: String(query.follow) });
    if (query.vmId !== null) words.set("vm", query.vmId);
    const answer = await this.#send("GET", `/v1/denials?${words.toString()}`, undefined, signal);
    try {
      for await (const line of createInterface({ input: answer })) {
        const denial = Denial.safeParse(JSON.parse(line));
        if (denial.success) yield denial.data;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw gone(error);
    } finally {
      answer.destroy();
    }
  }

  async #ask<T>(
    method: string,
    path: string,
    schema: z.ZodType<T>,
    body?: unknown,
    boundMs = answerBoundMs,
  ): Promise<T> {
    const bound = AbortSignal.timeout(boundMs);
    try {
      const answer = await this.#send(method, path, body, bound);
      const text = await textOf(answer);
      const value: unknown = JSON.parse(text);
      if (answer.statusCode === 200) return schema.parse(value);
      const { code, message } = ErrorBody.parse(value).error;
      throw new WorkfortError(code === "not_found" ? code : "network_unavailable", `the gateway refuses: ${message}`);
    } catch (error) {
      if (bound.aborted) throw new GatewayGone(`no answer to ${method} ${path} within ${boundMs / 1000} s`);
      throw error;
    }
  }

  async #send(method: string, path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = bytes === undefined ? {} : { "content-type": "application/json", "content-length": bytes.length };
    const sent = request({ socketPath: this.#socket, agent: false, method, path, headers, signal }, resolve);
    sent.once("error", (error) => reject(gone(error)));
    sent.end(bytes);
    return await promise;
  }
}

function gone(error: unknown): GatewayGone {
  return new GatewayGone(`the gateway does not answer: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) throw new Error("it answers without an end");
      chunks.push(chunk);
    }
  } catch (error) {
    throw gone(error);
  }
  return Buffer.concat(chunks).toString("utf8");
}
