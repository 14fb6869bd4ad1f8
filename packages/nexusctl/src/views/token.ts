import type { Token, Vm } from "@workfort/contract";
import type { Paint } from "../format/colour.ts";
import { renderTable, type Column } from "../format/table.ts";
import { formatAge, formatTime } from "../format/units.ts";

/** names take their place in a row no further */
const shownNames = 4;

export async function tokenTable(
  tokens: readonly Token[],
  vms: readonly Vm[],
  now: number,
  paint: Paint,
): Promise<string> {
  const nameOf = new Map(vms.map(({ id, name }) => [id, name]));
  const columns: Column<Token>[] = [
    { title: "NAME", cell: ({ name }) => name },
    { title: "VMS", cell: (token) => vmsOf(token, nameOf) },
    { title: "TOOLS", cell: ({ tools }) => (tools === null ? "all" : shorten(tools)) },
    { title: "OWN VMS", align: "right", cell: ({ maxVms }) => (maxVms === 0 ? "-" : `at most ${maxVms}`) },
    { title: "EXPIRES", cell: ({ expiresAt }) => expiry(expiresAt, now) },
    {
      title: "USED",
      align: "right",
      cell: ({ lastUsedAt }) => (lastUsedAt === null ? "never" : formatAge(lastUsedAt, now)),
    },
    { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, now) },
    { title: "ID", cell: ({ id }) => ({ text: id, style: "dim" }) },
  ];
  return await renderTable(columns, tokens, paint);
}

/** Ids of VMs that are gone are passed over. */
function vmsOf({ vms, ownVms }: Token, nameOf: ReadonlyMap<string, string>): string {
  if (vms === null) return "all";
  const names = [...vms, ...ownVms].flatMap((id) => nameOf.get(id) ?? []);
  return names.length === 0 ? "none" : shorten(names);
}

function shorten(names: readonly string[]): string {
  const more = names.length - shownNames;
  return `${names.slice(0, shownNames).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function expiry(expiresAt: number | null, now: number): string {
  if (expiresAt === null) return "never";
  return expiresAt <= now ? "has expired" : formatTime(expiresAt);
}
