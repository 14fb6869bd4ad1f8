import type { Cli } from "../../../cli.ts";
import { defineCommand, outputFlags } from "../../../command.ts";
import { askAt, guestPlace, userFlag, type UserFlags } from "../../../copy/guest-place.ts";
import { doing } from "../../../failures.ts";
import type { FileEntry } from "@workfort/contract";
import { printable } from "../../../format/colour.ts";
import { renderTable } from "../../../format/table.ts";
import { formatBytes, formatTime } from "../../../format/units.ts";
import { parseCount } from "../../../parse.ts";
import { show } from "../../../show.ts";

interface Flags extends UserFlags {
  readonly depth: number;
}

export default defineCommand({
  parameters: {
    positional: { kind: "tuple", parameters: [guestPlace] },
    flags: {
      user: userFlag,
      depth: {
        kind: "parsed",
        parse: parseCount,
        default: "1",
        placeholder: "LEVELS",
        brief: "of directories, at most 64",
      },
      json: outputFlags.json,
    },
    aliases: { u: "user", d: "depth" },
  },
  examples: [
    ["vm file list dev:/srv", "what is in it, hidden names, too"],
    ["vm file list dev: --depth 3", "three levels of root's home"],
  ],
  async run(cli: Cli, flags: Flags, place: string) {
    const entries = await doing(`list ${place}`, () => listAll(cli, place, flags));
    await show(
      cli,
      flags,
      { entries },
      {
        names: [],
        human: () =>
          renderTable<FileEntry>(
            [
              { title: "MODE", cell: ({ mode, type }) => `${mode} ${type}` },
              { title: "OWNER", cell: ({ uid, gid }) => `${uid}:${gid}` },
              { title: "SIZE", cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: "right" },
              { title: "MODIFIED", cell: ({ modifiedAt }) => formatTime(modifiedAt) },
              {
                title: "PATH",
                cell: ({ path, target }) => printable(target === null ? path : `${path} -> ${target}`),
              },
            ],
            entries,
            cli.out.paint,
          ),
      },
    );
  },
});

async function listAll(cli: Cli, place: string, flags: Flags): Promise<FileEntry[]> {
  const { params, query } = askAt(place, flags);
  const all: FileEntry[] = [];
  for (;;) {
    const last = all.at(-1)?.path;
    const more = { depth: String(flags.depth), limit: "10000", ...(last === undefined ? {} : { after: last }) };
    const page = await cli.client.call("vm.files.list", { params, query: { ...query, ...more } });
    all.push(...page.entries);
    if (!page.truncated || page.entries.length === 0) return all;
  }
}
