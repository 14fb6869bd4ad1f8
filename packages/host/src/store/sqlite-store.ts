import type {
  AttachmentRecord,
  BootRecord,
  DriveRecord,
  ForwardRecord,
  ImageRecord,
  IntentRecord,
  StateChangeRecord,
  Store,
  TokenRecord,
  VmRecord,
  WorkspaceRecord,
} from "@workfort/core";
import type { SQLInputValue } from "node:sqlite";
import { Database } from "./database.ts";
import {
  attachmentColumns,
  bootColumns,
  driveColumns,
  forwardColumns,
  imageColumns,
  stateChangeColumns,
  tokenColumns,
  vmColumns,
  workspaceColumns,
  type Columns,
} from "./columns.ts";

/** of each VM's history, the newest kept: a VM that starts on every request must not fill the disk */
const keptStateChanges = 1000;
const keptBoots = 100;

/** The records of core, in SQLite. */
export class SqliteStore implements Store {
  readonly #database: Database;
  /** what was set aside when the file was opened, null if nothing was */
  readonly notice: string | null;

  constructor(path: string) {
    const { database, notice } = Database.open(path);
    this.#database = database;
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
    this.#insert("vms", vmColumns, vm);
  }

  updateVm(id: string, change: Partial<Omit<VmRecord, "id">>): void {
    this.#update("vms", vmColumns, change, "id = :key", { key: id });
  }

  deleteVm(id: string): void {
    this.#database.run("DELETE FROM vms WHERE id = :id", { id });
  }

  findVm(idOrName: string): VmRecord | null {
    return this.#one("vms", vmColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listVms(): VmRecord[] {
    return this.#many("vms", vmColumns, "TRUE ORDER BY created_at, id");
  }

  vmOfWorkspace(workspaceId: string): VmRecord | null {
    return this.#one("vms", vmColumns, "workspace_id = :key", { key: workspaceId });
  }

  highestCid(): number {
    return Number(this.#database.get("SELECT coalesce(max(cid), 2) AS cid FROM vms")?.["cid"]);
  }

  insertStateChange(change: StateChangeRecord): void {
    this.#insert("state_changes", stateChangeColumns, change);
    this.#forget("state_changes", change.vmId, keptStateChanges);
  }

  stateChanges(vmId: string, limit: number): StateChangeRecord[] {
    return this.#many("state_changes", stateChangeColumns, "vm_id = :vmId ORDER BY number DESC LIMIT :limit", {
      vmId,
      limit,
    });
  }

  insertBoot(boot: BootRecord): void {
    this.#insert("boots", bootColumns, boot);
    this.#forget("boots", boot.vmId, keptBoots);
  }

  updateBoot(vmId: string, number: number, change: Partial<Omit<BootRecord, "vmId" | "number">>): void {
    this.#update("boots", bootColumns, change, "vm_id = :key AND number = :bootNumber", {
      key: vmId,
      bootNumber: number,
    });
  }

  boots(vmId: string, limit: number): BootRecord[] {
    return this.#many("boots", bootColumns, "vm_id = :vmId ORDER BY number DESC LIMIT :limit", { vmId, limit });
  }

  insertImage(image: ImageRecord): void {
    this.#insert("images", imageColumns, image);
  }

  deleteImage(id: string): void {
    this.#database.run("DELETE FROM images WHERE id = :id", { id });
  }

  findImage(idOrName: string): ImageRecord | null {
    return this.#one("images", imageColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listImages(): ImageRecord[] {
    return this.#many("images", imageColumns, "TRUE ORDER BY created_at, id");
  }

  countWorkspacesOf(imageId: string): number {
    return Number(
      this.#database.get("SELECT count(*) AS n FROM workspaces WHERE image_id = :imageId", { imageId })?.["n"],
    );
  }

  insertWorkspace(workspace: WorkspaceRecord): void {
    this.#insert("workspaces", workspaceColumns, workspace);
  }

  deleteWorkspace(id: string): void {
    this.#database.run("DELETE FROM workspaces WHERE id = :id", { id });
  }

  findWorkspace(idOrName: string): WorkspaceRecord | null {
    return this.#one("workspaces", workspaceColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listWorkspaces(): WorkspaceRecord[] {
    return this.#many("workspaces", workspaceColumns, "TRUE ORDER BY created_at, id");
  }

  insertToken(token: TokenRecord): void {
    this.#insert("tokens", tokenColumns, token);
  }

  updateToken(id: string, change: Partial<Omit<TokenRecord, "id">>): void {
    this.#update("tokens", tokenColumns, change, "id = :key", { key: id });
  }

  deleteToken(id: string): void {
    this.#database.run("DELETE FROM tokens WHERE id = :id", { id });
  }

  findToken(idOrName: string): TokenRecord | null {
    return this.#one("tokens", tokenColumns, "id = :key OR name = :key", { key: idOrName });
  }

  tokenOfDigest(digest: string): TokenRecord | null {
    return this.#one("tokens", tokenColumns, "digest = :digest", { digest });
  }

  listTokens(): TokenRecord[] {
    return this.#many("tokens", tokenColumns, "TRUE ORDER BY created_at, id");
  }

  insertDrive(drive: DriveRecord): void {
    this.#insert("drives", driveColumns, drive);
  }

  updateDrive(id: string, change: Partial<Omit<DriveRecord, "id">>): void {
    this.#update("drives", driveColumns, change, "id = :key", { key: id });
  }

  deleteDrive(id: string): void {
    this.#database.run("DELETE FROM drives WHERE id = :id", { id });
  }

  findDrive(idOrName: string): DriveRecord | null {
    return this.#one("drives", driveColumns, "id = :key OR name = :key", { key: idOrName });
  }

  listDrives(): DriveRecord[] {
    return this.#many("drives", driveColumns, "TRUE ORDER BY created_at, id");
  }

  insertAttachment(attachment: AttachmentRecord): void {
    this.#insert("attachments", attachmentColumns, attachment);
  }

  deleteAttachment(driveId: string): void {
    this.#database.run("DELETE FROM attachments WHERE drive_id = :driveId", { driveId });
  }

  attachmentOf(driveId: string): AttachmentRecord | null {
    return this.#one("attachments", attachmentColumns, "drive_id = :driveId", { driveId });
  }

  attachmentsOf(vmId: string): AttachmentRecord[] {
    return this.#many("attachments", attachmentColumns, "vm_id = :vmId ORDER BY number", { vmId });
  }

  insertForward(forward: ForwardRecord): void {
    this.#insert("forwards", forwardColumns, forward);
  }

  deleteForward(id: string): void {
    this.#database.run("DELETE FROM forwards WHERE id = :id", { id });
  }

  listForwards(vmId: string | null): ForwardRecord[] {
    const where = vmId === null ? "TRUE" : "vm_id = :vmId";
    return this.#many("forwards", forwardColumns, `${where} ORDER BY created_at, id`, vmId === null ? {} : { vmId });
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

  #insert<T extends object>(table: string, columns: Columns<T>, record: T): void {
    const fields = Object.keys(columns) as (keyof T & string)[];
    const names = fields.map((field) => columns[field].name).join(", ");
    const places = fields.map((field) => `:${field}`).join(", ");
    this.#database.run(`INSERT INTO ${table} (${names}) VALUES (${places})`, toRow(columns, record));
  }

  #update<T extends object>(
    table: string,
    columns: Columns<T>,
    change: Partial<T>,
    where: string,
    keys: Record<string, SQLInputValue>,
  ): void {
    const fields = Object.keys(change) as (keyof T & string)[];
    if (fields.length === 0) return;
    const sets = fields.map((field) => `${columns[field].name} = :${field}`).join(", ");
    this.#database.run(`UPDATE ${table} SET ${sets} WHERE ${where}`, { ...toRow(columns, change), ...keys });
  }

  #one<T extends object>(
    table: string,
    columns: Columns<T>,
    where: string,
    values: Record<string, SQLInputValue>,
  ): T | null {
    const row = this.#database.get(`SELECT * FROM ${table} WHERE ${where}`, values);
    return row === undefined ? null : fromRow(columns, row);
  }

  #many<T extends object>(
    table: string,
    columns: Columns<T>,
    where: string,
    values: Record<string, SQLInputValue> = {},
  ): T[] {
    return this.#database.all(`SELECT * FROM ${table} WHERE ${where}`, values).map((row) => fromRow(columns, row));
  }
}

function toRow<T extends object>(columns: Columns<T>, record: Partial<T>): Record<string, SQLInputValue> {
  const row: Record<string, SQLInputValue> = {};
  for (const [field, value] of Object.entries(record)) {
    const { as } = columns[field as keyof T];
    if (as === "json" && value !== null) row[field] = JSON.stringify(value);
    else row[field] = as === "flag" ? Number(value) : (value as SQLInputValue);
  }
  return row;
}

function fromRow<T extends object>(columns: Columns<T>, row: Record<string, unknown>): T {
  const record: Record<string, unknown> = {};
  for (const field of Object.keys(columns) as (keyof T & string)[]) {
    const { name, as } = columns[field];
    const value = row[name];
    if (as === "json" && typeof value === "string") record[field] = JSON.parse(value);
    else record[field] = as === "flag" ? value === 1 : value;
  }
  return record as T;
}
