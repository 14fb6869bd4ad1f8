import type { Boot, StateChange, VmHistory } from "@workfort/contract";
import { bar } from "../format/bar.ts";
import { printable, type Paint } from "../format/colour.ts";
import { renderTable } from "../format/table.ts";
import { formatAge, formatDuration, formatTime } from "../format/units.ts";
import { accelerator, stateCell } from "./vm.ts";

/** the rest is in --json */
const shownBoots = 3;
const shownStates = 20;
const barWidth = 40;

export async function historyText(history: VmHistory, now: number, paint: Paint): Promise<string> {
  const boots: string[] = [];
  for (const boot of history.boots.slice(0, shownBoots)) boots.push(await bootText(boot, now, paint));
  return [await statesTable(history.states, now, paint), ...boots, left(history, paint)]
    .filter((part) => part !== "")
    .join("\n");
}

async function statesTable(states: readonly StateChange[], now: number, paint: Paint): Promise<string> {
  return await renderTable(
    [
      { title: "WHEN", cell: ({ at }) => formatTime(at) },
      { title: "AGO", align: "right", cell: ({ at }) => formatAge(at, now) },
      { title: "STATE", cell: ({ to }) => stateCell(to) },
      { title: "REASON", cell: ({ reason }) => printable(reason) },
    ],
    states.slice(0, shownStates),
    paint,
  );
}

async function bootText(boot: Boot, now: number, paint: Paint): Promise<string> {
  const whole = Math.max(0, ...boot.phases.map(({ startedAtMs, durationMs }) => startedAtMs + durationMs));
  const ready =
    boot.readyAt === null ? "its agent never answered" : `ready after ${formatDuration(boot.readyAt - boot.startedAt)}`;
  const facts = [`${formatAge(boot.startedAt, now)} ago`, ready, ...machine(boot), ...ending(boot)];
  const phases = await renderTable(
    [
      { title: "  PHASE", cell: ({ name }) => `  ${name.replaceAll("_", " ")}` },
      { title: "TIME", align: "right", cell: ({ durationMs }) => formatDuration(durationMs) },
      {
        title: "",
        cell: ({ startedAtMs, durationMs }) => ({ text: bar(startedAtMs, durationMs, whole, barWidth), style: "cyan" }),
      },
    ],
    boot.phases,
    paint,
  );
  return `${paint("bold", `boot ${boot.number}`)}  ${facts.join(", ")}\n${boot.phases.length === 0 ? "" : phases}`;
}

function machine({ vmm, accelerator: kind, kernel }: Boot): string[] {
  if (vmm === null) return [];
  return [
    [vmm, kind === null ? "" : `with ${accelerator(kind)}`].filter((word) => word !== "").join(" "),
    ...(kernel === null ? [] : [`kernel ${printable(kernel)}`]),
  ];
}

function ending({ endedAt, startedAt, endReason, exitCode, signal }: Boot): string[] {
  if (endedAt === null) return ["runs"];
  const how =
    signal === null
      ? exitCode === null || exitCode === 0
        ? ""
        : `, VMM exit code ${exitCode}`
      : `, VMM ended by ${signal}`;
  return [
    `ended after ${formatDuration(endedAt - startedAt)}${endReason === null ? "" : ` (${printable(endReason)}${how})`}`,
  ];
}

function left({ states, boots }: VmHistory, paint: Paint): string {
  const more = [
    ...(states.length > shownStates ? [`${states.length - shownStates} older state changes`] : []),
    ...(boots.length > shownBoots ? [`${boots.length - shownBoots} older boots`] : []),
  ];
  return more.length === 0 ? "" : `${paint("dim", `${more.join(" and ")}: --json shows them`)}\n`;
}
