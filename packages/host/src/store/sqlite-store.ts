import type { HostService, NetworkPolicy } from "@workfort/contract";
import type {
  AddressRecord,
  AttachmentRecord,
  BootRecord,
  DriveRecord,
  ForwardRecord,
  ImageRecord,
  IntentRecord,
  StateChangeRecord,
  Store,
  Subnets,
  TokenRecord,
  VmRecord,
  WorkspaceRecord,
} from "@workfort/core";
import { Database } from "./database.ts";
import {
  addressColumns,
  attachmentColumns,
  bootColumns,
  driveColumns,
  forwardColumns,
  hostServiceColumns,
  imageColumns,
  stateChangeColumns,
  tokenColumns,
  vmColumns,
  workspaceColumns,
} from "./columns.ts";
import { Rows } from "./rows.ts";

/** of each VM's history, the newest kept: a VM that starts on every request must not fill the disk */
const keptStateChanges = 1000;
const keptBoots = 100;

/** The records of core, in SQLite. */
export class SqliteStore implements Store {
  readonly #database: Database;
  readonly #rows: Rows;
  /** what was set aside when the file was opened, null if nothing was */
  readonly notice: string | null;

  constructor(path: string) {
    const { database, notice } = Database.open(path);
    this.#database = database;
    this.#rows = new Rows(database);
    this.notice = notice;
  }

  close(): void {
    this.#database.close();
  }

  transaction<T>(change: () => T, options: { durable?: boolean } = {}): T {
    return this.#database.transaction(change, options.durable ?? false);
  }

  afterCommit(tell: () => void): void {
    this.#database.afterCommit(tell);
  }

  insertVm(vm: VmRecord): void {
    this.#rows.insert("vms", vmColumns, vm);
  }

  updateVm(id: string, change: Partial<Omit<VmRecord, "id">>): void {
    this.#rows.update("vms", vmColumns, change, "id = :key", { key: id });
  }

  deleteVm(id: string): void {
    this.#database.run("DELETE FROM vms WHERE id = :id", { id });
  }

  findVm(idOrName: string): VmRecord | null {
    return this.#rows.one("vms", vmColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listVms(): VmRecord[] {
    return this.#rows.many("vms", vmColumns, "TRUE ORDER BY created_at, id");
  }

  vmOfWorkspace(workspaceId: string): VmRecord | null {
    return this.#rows.one("vms", vmColumns, "workspace_id = :key", { key: workspaceId });
  }

  highestCid(): number {
    return Number(this.#database.get("SELECT coalesce(max(cid), 2) AS cid FROM vms")?.["cid"]);
  }

  insertStateChange(change: StateChangeRecord): void {
    this.#rows.insert("state_changes", stateChangeColumns, change);
    this.#forget("state_changes", change.vmId, keptStateChanges);
  }

  stateChanges(vmId: string, limit: number): StateChangeRecord[] {
    return this.#rows.many("state_changes", stateChangeColumns, "vm_id = :vmId ORDER BY number DESC LIMIT :limit", {
      vmId,
      limit,
    });
  }

  insertBoot(boot: BootRecord): void {
    this.#rows.insert("boots", bootColumns, boot);
    this.#forget("boots", boot.vmId, keptBoots);
  }

  updateBoot(vmId: string, number: number, change: Partial<Omit<BootRecord, "vmId" | "number">>): void {
    this.#rows.update("boots", bootColumns, change, "vm_id = :key AND number = :bootNumber", {
      key: vmId,
      bootNumber: number,
    });
  }

  boots(vmId: string, limit: number): BootRecord[] {
    return this.#rows.many("boots", bootColumns, "vm_id = :vmId ORDER BY number DESC LIMIT :limit", { vmId, limit });
  }

  insertImage(image: ImageRecord): void {
    this.#rows.insert("images", imageColumns, image);
  }

  deleteImage(id: string): void {
    this.#database.run("DELETE FROM images WHERE id = :id", { id });
  }

  findImage(idOrName: string): ImageRecord | null {
    return this.#rows.one("images", imageColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listImages(): ImageRecord[] {
    return this.#rows.many("images", imageColumns, "TRUE ORDER BY created_at, id");
  }

  countWorkspacesOf(imageId: string): number {
    return Number(
      this.#database.get("SELECT count(*) AS n FROM workspaces WHERE image_id = :imageId", { imageId })?.["n"],
    );
  }

  insertWorkspace(workspace: WorkspaceRecord): void {
    this.#rows.insert("workspaces", workspaceColumns, workspace);
  }

  deleteWorkspace(id: string): void {
    this.#database.run("DELETE FROM workspaces WHERE id = :id", { id });
  }

  findWorkspace(idOrName: string): WorkspaceRecord | null {
    return this.#rows.one("workspaces", workspaceColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listWorkspaces(): WorkspaceRecord[] {
    return this.#rows.many("workspaces", workspaceColumns, "TRUE ORDER BY created_at, id");
  }

  insertToken(token: TokenRecord): void {
    this.#rows.insert("tokens", tokenColumns, token);
  }

  updateToken(id: string, change: Partial<Omit<TokenRecord, "id">>): void {
    this.#rows.update("tokens", tokenColumns, change, "id = :key", { key: id });
  }

  deleteToken(id: string): void {
    this.#database.run("DELETE FROM tokens WHERE id = :id", { id });
  }

  findToken(idOrName: string): TokenRecord | null {
    return this.#rows.one("tokens", tokenColumns, "id = :key OR name = :key", { key: idOrName });
  }

  tokenOfDigest(digest: string): TokenRecord | null {
    return this.#rows.one("tokens", tokenColumns, "digest = :digest", { digest });
  }

  listTokens(): TokenRecord[] {
    return this.#rows.many("tokens", tokenColumns, "TRUE ORDER BY created_at, id");
  }

  insertDrive(drive: DriveRecord): void {
    this.#rows.insert("drives", driveColumns, drive);
  }

  updateDrive(id: string, change: Partial<Omit<DriveRecord, "id">>): void {
    this.#rows.update("drives", driveColumns, change, "id = :key", { key: id });
  }

  deleteDrive(id: string): void {
    this.#database.run("DELETE FROM drives WHERE id = :id", { id });
  }

  findDrive(idOrName: string): DriveRecord | null {
    return this.#rows.one("drives", driveColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listDrives(): DriveRecord[] {
    return this.#rows.many("drives", driveColumns, "TRUE ORDER BY created_at, id");
  }

  insertAttachment(attachment: AttachmentRecord): void {
    this.#rows.insert("attachments", attachmentColumns, attachment);
  }

  deleteAttachment(driveId: string): void {
    this.#database.run("DELETE FROM attachments WHERE drive_id = :driveId", { driveId });
  }

  attachmentOf(driveId: string): AttachmentRecord | null {
    return this.#rows.one("attachments", attachmentColumns, "drive_id = :driveId", { driveId });
  }

  attachmentsOf(vmId: string): AttachmentRecord[] {
    return this.#rows.many("attachments", attachmentColumns, "vm_id = :vmId ORDER BY number", { vmId });
  }

  takeAddress(number: number, vmId: string): void {
    this.transaction(() => {
      this.#database.run("DELETE FROM addresses WHERE number = :number AND vm_id IS NULL", { number });
      this.#rows.insert("addresses", addressColumns, { number, vmId, releasedAt: null });
    });
  }

  releaseAddress(vmId: string, releasedAt: number): void {
    this.#database.run("UPDATE addresses SET vm_id = NULL, released_at = :releasedAt WHERE vm_id = :vmId", {
      vmId,
      releasedAt,
    });
  }

  addressOf(vmId: string): AddressRecord | null {
    return this.#rows.one("addresses", addressColumns, "vm_id = :vmId", { vmId });
  }

  highestAddress(): number | null {
    return this.#database.get("SELECT max(number) AS number FROM addresses")?.["number"] as number | null;
  }

  longestFreeAddress(last: number): AddressRecord | null {
    const where = "vm_id IS NULL AND number <= :last ORDER BY released_at, number LIMIT 1";
    return this.#rows.one("addresses", addressColumns, where, { last });
  }

  networkPolicy(vmId: string | null): NetworkPolicy | null {
    const row =
      vmId === null
        ? this.#database.get("SELECT default_policy AS policy FROM network")
        : this.#database.get("SELECT policy FROM network_policies WHERE vm_id = :vmId", { vmId });
    return parse(row?.["policy"]) as NetworkPolicy | null;
  }

  setNetworkPolicy(vmId: string | null, policy: NetworkPolicy): void {
    const text = JSON.stringify(policy);
    if (vmId === null) this.#database.run("UPDATE network SET default_policy = :text", { text });
    else
      this.#database.run("INSERT OR REPLACE INTO network_policies (vm_id, policy) VALUES (:vmId, :text)", {
        vmId,
        text,
      });
  }

  deleteNetworkPolicy(vmId: string): void {
    this.#database.run("DELETE FROM network_policies WHERE vm_id = :vmId", { vmId });
  }

  vmsWithPolicy(): string[] {
    return this.#database.all("SELECT vm_id FROM network_policies").map((row) => String(row["vm_id"]));
  }

  subnets(): Subnets | null {
    return parse(this.#database.get("SELECT subnets FROM network")?.["subnets"]) as Subnets | null;
  }

  setSubnets(subnets: Subnets): void {
    this.#database.run("UPDATE network SET subnets = :text", { text: JSON.stringify(subnets) });
  }

  insertHostService(service: HostService): void {
    this.#rows.insert("host_services", hostServiceColumns, service);
  }

  deleteHostService(name: string): void {
    this.#database.run("DELETE FROM host_services WHERE name = :name", { name });
  }

  listHostServices(): HostService[] {
    return this.#rows.many("host_services", hostServiceColumns, "TRUE ORDER BY name");
  }

  insertForward(forward: ForwardRecord): void {
    this.#rows.insert("forwards", forwardColumns, forward);
  }

  deleteForward(id: string): void {
    this.#database.run("DELETE FROM forwards WHERE id = :id", { id });
  }

  listForwards(vmId: string | null): ForwardRecord[] {
    const where = vmId === null ? "TRUE" : "vm_id = :vmId";
    return this.#rows.many(
      "forwards",
      forwardColumns,
      `${where} ORDER BY created_at, id`,
      vmId === null ? {} : { vmId },
    );
  }

  hostBoot(): string | null {
    return (this.#database.get("SELECT boot_id FROM host_boot")?.["boot_id"] as string | undefined) ?? null;
  }

  setHostBoot(bootId: string): void {
    this.#database.run("INSERT OR REPLACE INTO host_boot (only, boot_id) VALUES (1, :bootId)", { bootId });
  }

  insertIntent(kind: string, data: unknown): number {
    return this.#database.run("INSERT INTO intents (kind, data, created_at) VALUES (:kind, :data, :createdAt)", {
      kind,
      data: JSON.stringify(data),
      createdAt: Date.now(),
    });
  }

  deleteIntent(id: number): void {
    this.#database.run("DELETE FROM intents WHERE id = :id", { id });
  }

  intents(): IntentRecord[] {
    return this.#database.all("SELECT id, kind, data, created_at FROM intents ORDER BY id").map((row) => ({
      id: Number(row["id"]),
      kind: String(row["kind"]),
      data: JSON.parse(String(row["data"])) as unknown,
      createdAt: Number(row["created_at"]),
    }));
  }

  /** Deletes a VM's oldest rows but the newest `kept`. */
  #forget(table: "state_changes" | "boots", vmId: string, kept: number): void {
    this.#database.run(
      `DELETE FROM ${table} WHERE vm_id = :vmId AND number <=
        (SELECT number FROM ${table} WHERE vm_id = :vmId ORDER BY number DESC LIMIT 1 OFFSET :kept)`,
      { vmId, kept },
    );
  }
}

function parse(text: unknown): unknown {
  return typeof text === "string" ? JSON.parse(text) : null;
}
