import { createHash, randomBytes } from "node:crypto";
import { WorkfortError, type CreateToken, type CreatedToken, type Token } from "@workfort/contract";
import { nameTaken, notFound } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Store } from "./ports.ts";
import type { TokenRecord, VmRecord } from "./records.ts";

/** how exactly it is known when a token was last used, ms */
const usedEveryMs = 60_000;
/** base64url; 256 bits, so that its digest needs no salt */
const secretBytes = 32;
const secretPrefix = "wft_";

/** Tokens with a scope. What a token may touch is asked anew at every use, so that a revocation holds at once. */
export class Tokens {
  readonly #store: Store;
  readonly #toolNames: readonly string[];

  constructor(needs: { store: Store; toolNames: readonly string[] }) {
    this.#store = needs.store;
    this.#toolNames = needs.toolNames;
  }

  /** The answer is the only one that has the secret. */
  create(request: CreateToken): CreatedToken {
    const unknown = request.tools?.find((name) => !this.#toolNames.includes(name));
    if (unknown !== undefined)
      throw new WorkfortError("not_found", `there is no tool "${unknown}"`, {
        hint: `there are ${this.#toolNames.join(", ")}`,
      });
    const vms = request.vms?.map((reference) => {
      const vm = this.#store.findVm(reference);
      if (vm === null) throw notFound("VM", reference);
      return vm.id;
    });
    if (this.#store.findToken(request.name) !== null) throw nameTaken("token", request.name);
    const secret = `${secretPrefix}${randomBytes(secretBytes).toString("base64url")}`;
    const now = Date.now();
    const record: TokenRecord = {
      id: newId("tok"),
      name: request.name,
      digest: digestOf(secret),
      vms: vms ?? null,
      ownVms: [],
      tools: request.tools ?? null,
      maxVms: request.maxVms,
      maxMemoryMiB: request.maxMemoryMiB ?? null,
      maxVcpuCount: request.maxVcpuCount ?? null,
      createdAt: now,
      expiresAt: request.expiresInSeconds === undefined ? null : now + request.expiresInSeconds * 1000,
      lastUsedAt: null,
    };
    this.#store.transaction(() => this.#store.insertToken(record), { durable: true });
    return { ...present(record), secret };
  }

  list(): Token[] {
    return this.#store.listTokens().map(present);
  }

  revoke(reference: string): void {
    const token = this.#store.findToken(reference);
    if (token === null) throw notFound("token", reference);
    this.#store.transaction(() => this.#store.deleteToken(token.id), { durable: true });
  }

  /** The token of a secret; null where there is none, or none that is still good. */
  authenticate(secret: string): Token | null {
    const token = this.#store.tokenOfDigest(digestOf(secret));
    const now = Date.now();
    if (token === null || (token.expiresAt !== null && now >= token.expiresAt)) return null;
    if (token.lastUsedAt === null || now - token.lastUsedAt > usedEveryMs)
      this.#store.updateToken(token.id, { lastUsedAt: now });
    return present(token);
  }

  /** How a token stands now; throws `unauthorized` where it was revoked or has expired since. */
  current(id: string): Token {
    const token = this.#store.findToken(id);
    if (token === null || (token.expiresAt !== null && Date.now() >= token.expiresAt))
      throw new WorkfortError("unauthorized", "the token is no longer good", { hint: "nexusctl token create" });
    return present(token);
  }

  /** The VM, if it exists and the token may touch it; to the token, others do not exist. */
  vmFor(id: string, reference: string): VmRecord {
    const vm = this.#store.findVm(reference);
    if (vm === null || !mayTouch(this.current(id), vm.id))
      throw new WorkfortError("not_found", `there is no VM "${reference}"`, { hint: "vm_list shows those there are" });
    return vm;
  }

  /** Throws where the token may not create such a VM. */
  checkCreation(id: string, vm: { memoryMiB: number; vcpuCount: number }): void {
    const token = this.current(id);
    const existing = token.ownVms.filter((vmId) => this.#store.findVm(vmId) !== null);
    const over = [
      existing.length >= token.maxVms ? `it may have ${token.maxVms} VMs of its own and has ${existing.length}` : null,
      token.maxMemoryMiB !== null && vm.memoryMiB > token.maxMemoryMiB
        ? `a VM of its own may have ${token.maxMemoryMiB} MiB`
        : null,
      token.maxVcpuCount !== null && vm.vcpuCount > token.maxVcpuCount
        ? `a VM of its own may have ${token.maxVcpuCount} virtual CPUs`
        : null,
    ].find((why) => why !== null);
    if (over !== undefined) throw new WorkfortError("forbidden", `token "${token.name}": ${over}`);
  }

  noteCreated(id: string, vmId: string): void {
    const { ownVms } = this.current(id);
    const existing = ownVms.filter((other) => this.#store.findVm(other) !== null);
    this.#store.updateToken(id, { ownVms: [...existing, vmId] });
  }
}

export function mayTouch({ vms, ownVms }: Token, vmId: string): boolean {
  return vms === null || vms.includes(vmId) || ownVms.includes(vmId);
}

function digestOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function present({ digest: _, ...token }: TokenRecord): Token {
  return token;
}
