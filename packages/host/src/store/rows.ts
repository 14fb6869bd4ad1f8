import type { SQLInputValue } from "node:sqlite";
import type { Columns } from "./columns.ts";
import type { Database } from "./database.ts";

/** Records as rows of tables. */
export class Rows {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert<T extends object>(table: string, columns: Columns<T>, record: T): void {
    const fields = Object.keys(columns) as (keyof T & string)[];
    const names = fields.map((field) => columns[field].name).join(", ");
    const places = fields.map((field) => `:${field}`).join(", ");
    this.#database.run(`INSERT INTO ${table} (${names}) VALUES (${places})`, toRow(columns, record));
  }

  update<T extends object>(
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

  one<T extends object>(
    table: string,
    columns: Columns<T>,
    where: string,
    values: Record<string, SQLInputValue>,
  ): T | null {
    const row = this.#database.get(`SELECT * FROM ${table} WHERE ${where}`, values);
    return row === undefined ? null : fromRow(columns, row);
  }

  many<T extends object>(
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
