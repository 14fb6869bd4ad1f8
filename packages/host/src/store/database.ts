import { chmodSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { WorkfortError } from "@workfort/contract";
import { schema, schemaVersion } from "./schema.ts";

/**
 * One SQLite file. Its version is in the file; a file of another version is renamed with a date and a fresh one is
 * made. Prepared statements are kept by their text.
 */
export class Database {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;
  /** to be called once the open transaction is committed */
  #told: (() => void)[] = [];

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Opens or makes the file; `notice` says what was set aside, if anything was. */
  static open(path: string): { database: Database; notice: string | null } {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const notice = existsSync(path) ? setAsideIfForeign(path) : null;
    const database = openFile(path);
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;");
      const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
      if (version === 0) database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
      chmodSync(path, 0o600);
    } catch (error) {
      database.close();
      throw unusable(path, error);
    }
    return { database: new Database(database), notice };
  }

  /** Runs `change` in a transaction; an inner call joins the outer one. `durable` waits for the medium. */
  transaction<T>(change: () => T, durable: boolean): T {
    if (this.#depth > 0) return change();
    if (durable) this.#database.exec("PRAGMA synchronous = FULL");
    this.#database.exec("BEGIN IMMEDIATE");
    this.#depth += 1;
    let result: T;
    try {
      result = change();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#told = [];
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw storeError(error);
    } finally {
      this.#depth -= 1;
      if (durable) this.#database.exec("PRAGMA synchronous = NORMAL");
    }
    for (const tell of this.#told.splice(0)) tell();
    return result;
  }

  /** Calls `tell` when the open transaction is committed, at once where none is open. */
  afterCommit(tell: () => void): void {
    if (this.#depth > 0) this.#told.push(tell);
    else tell();
  }

  run(sql: string, values: Record<string, SQLInputValue> = {}): number {
    try {
      return Number(this.#statement(sql).run(values).lastInsertRowid);
    } catch (error) {
      throw storeError(error);
    }
  }

  get(sql: string, values: Record<string, SQLInputValue> = {}): Record<string, unknown> | undefined {
    return this.#statement(sql).get(values);
  }

  all(sql: string, values: Record<string, SQLInputValue> = {}): Record<string, unknown>[] {
    return this.#statement(sql).all(values);
  }

  close(): void {
    this.#database.close();
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#database.prepare(sql)));
    return statement;
  }
}

function openFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 5_000 });
  } catch (error) {
    throw unusable(path, error);
  }
}

/** Renames a file of another version, or one that is no database at all. */
function setAsideIfForeign(path: string): string | null {
  const found = versionOf(path);
  if (found === schemaVersion || found === 0) return null;
  const stamp = new Date().toISOString().replace(/[-:]/g, "").replace(/\..*/, "");
  const aside = `${path}.${found === null ? "damaged" : `schema-${found}`}.${stamp}`;
  for (const suffix of ["", "-wal", "-shm"]) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  const why = found === null ? "is not a database" : `has schema ${found}, this version needs ${schemaVersion}`;
  return `The records in ${path} were set aside as ${aside}, since the file ${why}. Nothing was deleted; disks of those records stay in the store.`;
}

/** Null where the file is not a database. */
function versionOf(path: string): number | null {
  const database = openFile(path);
  try {
    return Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  } catch (error) {
    if (errcodeOf(error) === 26) return null; // SQLITE_NOTADB
    throw unusable(path, error);
  } finally {
    database.close();
  }
}

function unusable(path: string, error: unknown): WorkfortError {
  const why = error instanceof Error ? error.message : String(error);
  return new WorkfortError("storage_unavailable", `the records in ${path} cannot be opened: ${why}`, {
    cause: error,
    hint: `check the permissions and free space of ${dirname(path)}`,
  });
}

/** A full or read-only disk is the machine's fault and says so. */
function storeError(error: unknown): unknown {
  const code = errcodeOf(error);
  const message = error instanceof Error ? error.message : "";
  if (code === 13)
    return new WorkfortError("storage_full", "the disk that holds the records is full", {
      cause: error,
      hint: "free some space in the state directory",
    }); // SQLITE_FULL
  if (code === 8 || code === 10)
    return new WorkfortError("storage_unavailable", `the records cannot be written: ${message}`, { cause: error }); // SQLITE_READONLY, SQLITE_IOERR
  return error;
}

function errcodeOf(error: unknown): number | null {
  const code = (error as { errcode?: number }).errcode;
  return typeof code === "number" ? code & 0xff : null;
}
