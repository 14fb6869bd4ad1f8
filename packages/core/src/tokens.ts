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
  readonly #toolNames: () => Promise<readonly string[]>;
  /** creations under way, by token: two at once may not both take the last place */
  readonly #begun = new Map<string, number>();

  constructor(needs: { store: Store; toolNames: () => Promise<readonly string[]> }) {
    this.#store = needs.store;
    this.#toolNames = needs.toolNames;
  }

  /** The answer is the only one that has the secret. */
  async create(request: CreateToken): Promise<CreatedToken> {
    if (request.tools !== undefined) await this.#requireTools(request.tools);
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

  async #requireTools(names: readonly string[]): Promise<void> {
    const known = await this.#toolNames();
    const unknown = names.find((name) => !known.includes(name));
    if (unknown === undefined) return;
    throw new WorkfortError("not_found", `there is no tool "${unknown}"`, { hint: `there are ${known.join(", ")}` });
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

  /** Has the token create a VM, which is its own then; throws `forbidden` where it may not have such a one. */
  async creating<T extends { id: string }>(
    id: string,
    size: { memoryMiB: number; vcpuCount: number },
    create: () => Promise<T>,
  ): Promise<T> {
    const token = this.current(id);
    const begun = this.#begun.get(id) ?? 0;
    const over = this.#refuse(token, begun, size);
    if (over !== null)
      throw new WorkfortError("forbidden", `token "${token.name}": ${over}`, {
        hint: "one that may do more is made by: nexusctl token create",
      });
    this.#begun.set(id, begun + 1);
    try {
      const vm = await create();
      // a token that was revoked meanwhile has nothing any more
      const ownVms = this.#existing(this.#store.findToken(id)?.ownVms ?? []);
      this.#store.updateToken(id, { ownVms: [...ownVms, vm.id] });
      return vm;
    } finally {
      const left = (this.#begun.get(id) ?? 1) - 1;
      if (left === 0) this.#begun.delete(id);
      else this.#begun.set(id, left);
    }
  }

  /** Why a token may not have one more VM of this size; null if it may. */
  #refuse(
    token: Token,
    begun: number,
    { memoryMiB, vcpuCount }: { memoryMiB: number; vcpuCount: number },
  ): string | null {
    const has = this.#existing(token.ownVms).length + begun;
    if (has >= token.maxVms) return `it may have ${token.maxVms} VMs of its own and has ${has}`;
    if (token.maxMemoryMiB !== null && memoryMiB > token.maxMemoryMiB)
      return `a VM of its own may have ${token.maxMemoryMiB} MiB`;
    if (token.maxVcpuCount !== null && vcpuCount > token.maxVcpuCount)
      return `a VM of its own may have ${token.maxVcpuCount} virtual CPUs`;
    return null;
  }

  #existing(vmIds: readonly string[]): string[] {
    return vmIds.filter((vmId) => this.#store.findVm(vmId) !== null);
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
