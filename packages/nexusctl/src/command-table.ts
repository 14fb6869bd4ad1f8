import type { AnyCommand } from "./command.ts";

/** A word of the command line that stands for a command. Its file is read only when it is run or asked for help. */
export interface Leaf {
  readonly summary: string;
  readonly load: () => Promise<{ default: AnyCommand }>;
  readonly aliases?: readonly string[];
}

/** a word that more words follow */
export interface Group {
  readonly summary: string;
  readonly commands: Readonly<Record<string, Entry>>;
  readonly aliases?: readonly string[];
}

export type Entry = Leaf | Group;

/** Everything nexusctl can do; summaries of what the daemon does are the contract's. */
export const commandTable: Readonly<Record<string, Entry>> = {
  status: { summary: "What the daemon is, uses and holds", load: () => import("./commands/status.ts") },
  events: { summary: "Watch what changes", load: () => import("./commands/events.ts") },
  vm: {
    summary: "Virtual machines",
    commands: {
      create: { summary: "Create a VM", load: () => import("./commands/vm/create.ts") },
      list: { summary: "List VMs", load: () => import("./commands/vm/list.ts"), aliases: ["ls"] },
      get: { summary: "Show one VM", load: () => import("./commands/vm/get.ts") },
      start: { summary: "Start a VM", load: () => import("./commands/vm/start.ts") },
      stop: { summary: "Shut a VM down", load: () => import("./commands/vm/stop.ts") },
      pause: { summary: "Let a VM stand still", load: () => import("./commands/vm/pause.ts") },
      resume: { summary: "Let a paused VM go on", load: () => import("./commands/vm/resume.ts") },
      kill: { summary: "End a VM at once", load: () => import("./commands/vm/kill.ts") },
      delete: {
        summary: "Delete a VM that does not run, with its workspace",
        load: () => import("./commands/vm/delete.ts"),
        aliases: ["rm"],
      },
      exec: { summary: "Run a command in a VM", load: () => import("./commands/vm/exec.ts") },
      attach: { summary: "Be at a terminal of a VM", load: () => import("./commands/vm/attach.ts") },
      terminal: {
        summary: "Terminals of a VM, which vm attach shows",
        commands: {
          list: {
            summary: "List a VM's terminals",
            load: () => import("./commands/vm/terminal/list.ts"),
            aliases: ["ls"],
          },
          record: {
            summary: "Record what a terminal shows, until it ends",
            load: () => import("./commands/vm/terminal/record.ts"),
          },
          resize: { summary: "Give a terminal another size", load: () => import("./commands/vm/terminal/resize.ts") },
          delete: {
            summary: "Hang a terminal up, and forget it",
            load: () => import("./commands/vm/terminal/delete.ts"),
            aliases: ["rm"],
          },
        },
      },
      cp: { summary: "Copy files and directories into a VM and out of it", load: () => import("./commands/vm/cp.ts") },
      file: {
        summary: "Files in a VM",
        commands: {
          list: {
            summary: "List a directory in a VM",
            load: () => import("./commands/vm/file/list.ts"),
            aliases: ["ls"],
          },
          stat: {
            summary: "Show what is at a path in a VM; a link is not followed",
            load: () => import("./commands/vm/file/stat.ts"),
          },
          read: { summary: "Write a file in a VM to stdout", load: () => import("./commands/vm/file/read.ts") },
          write: { summary: "Write stdin to a file in a VM", load: () => import("./commands/vm/file/write.ts") },
          move: {
            summary: "Move or rename a file or directory in a VM",
            load: () => import("./commands/vm/file/move.ts"),
            aliases: ["mv"],
          },
          delete: {
            summary: "Delete a file or directory in a VM",
            load: () => import("./commands/vm/file/delete.ts"),
            aliases: ["rm"],
          },
          mkdir: { summary: "Make a directory in a VM", load: () => import("./commands/vm/file/mkdir.ts") },
          search: {
            summary: "Search files in a VM for text, names or both",
            load: () => import("./commands/vm/file/search.ts"),
          },
          watch: { summary: "Watch a directory in a VM", load: () => import("./commands/vm/file/watch.ts") },
        },
      },
      process: {
        summary: "Processes started in a VM",
        aliases: ["ps"],
        commands: {
          list: {
            summary: "List the processes started in a VM",
            load: () => import("./commands/vm/process/list.ts"),
            aliases: ["ls"],
          },
          attach: {
            summary: "Follow a process's output to its end",
            load: () => import("./commands/vm/process/attach.ts"),
          },
          output: {
            summary: "Print what is held of a process's output",
            load: () => import("./commands/vm/process/output.ts"),
          },
          wait: { summary: "Wait for a process to end", load: () => import("./commands/vm/process/wait.ts") },
          signal: { summary: "Signal a process group", load: () => import("./commands/vm/process/signal.ts") },
          kill: { summary: "Kill a process group", load: () => import("./commands/vm/process/kill.ts") },
          delete: {
            summary: "Forget a process that has ended",
            load: () => import("./commands/vm/process/delete.ts"),
            aliases: ["rm"],
          },
        },
      },
      forward: {
        summary: "Listen on the host for connections into a VM",
        load: () => import("./commands/vm/forward.ts"),
      },
      preview: { summary: "The address of a VM's port for a browser", load: () => import("./commands/vm/preview.ts") },
      console: { summary: "Read a VM's console", load: () => import("./commands/vm/console.ts") },
      logs: { summary: "Show what a VM's console said", load: () => import("./commands/vm/logs.ts") },
      metrics: {
        summary: "Show what a VM uses of the host, and what its disks have done",
        load: () => import("./commands/vm/metrics.ts"),
      },
      network: {
        summary: "Show a VM's interface, what it may reach, and what it has sent and received",
        load: () => import("./commands/vm/network.ts"),
      },
      top: { summary: "Show what runs in a VM, again and again", load: () => import("./commands/vm/top.ts") },
      timing: { summary: "Show where a VM's boots spend their time", load: () => import("./commands/vm/timing.ts") },
      history: { summary: "Show a VM's states and boots", load: () => import("./commands/vm/history.ts") },
    },
  },
  image: {
    summary: "Master images, which workspaces are made from",
    commands: {
      import: {
        summary: "Import a directory or an ext4 file as a master image",
        load: () => import("./commands/image/import.ts"),
      },
      list: { summary: "List master images", load: () => import("./commands/image/list.ts"), aliases: ["ls"] },
      get: { summary: "Show one master image", load: () => import("./commands/image/get.ts") },
      delete: {
        summary: "Delete a master image that no workspace uses",
        load: () => import("./commands/image/delete.ts"),
        aliases: ["rm"],
      },
    },
  },
  workspace: {
    summary: "Workspaces, the copy-on-write disks of VMs",
    aliases: ["ws"],
    commands: {
      create: {
        summary: "Create a workspace from a master image",
        load: () => import("./commands/workspace/create.ts"),
      },
      list: { summary: "List workspaces", load: () => import("./commands/workspace/list.ts"), aliases: ["ls"] },
      get: {
        summary: "Show one workspace and what it holds on disk",
        load: () => import("./commands/workspace/get.ts"),
      },
      delete: {
        summary: "Delete a workspace that no VM uses",
        load: () => import("./commands/workspace/delete.ts"),
        aliases: ["rm"],
      },
    },
  },
  drive: {
    summary: "Data drives, which VMs have beside their workspaces",
    commands: {
      create: {
        summary: "Create a data drive: empty, from a directory, or as a snapshot of another",
        load: () => import("./commands/drive/create.ts"),
      },
      list: { summary: "List data drives", load: () => import("./commands/drive/list.ts"), aliases: ["ls"] },
      get: {
        summary: "Show one data drive and what it holds on disk",
        load: () => import("./commands/drive/get.ts"),
      },
      attach: {
        summary: "Attach a data drive to a VM that does not run",
        load: () => import("./commands/drive/attach.ts"),
      },
      detach: {
        summary: "Detach a data drive from its VM, which must not run",
        load: () => import("./commands/drive/detach.ts"),
      },
      resize: {
        summary: "Make a data drive larger, with its file system",
        load: () => import("./commands/drive/resize.ts"),
      },
      delete: {
        summary: "Delete a data drive that is not attached",
        load: () => import("./commands/drive/delete.ts"),
        aliases: ["rm"],
      },
    },
  },
  network: {
    summary: "The network of guests, and what each may reach",
    aliases: ["net"],
    commands: {
      status: {
        summary: "How guests get their network, and whether it can be used",
        load: () => import("./commands/network/status.ts"),
      },
      policy: {
        summary: "What VMs may reach",
        commands: {
          get: {
            summary: "Show the policy of a VM, or the default one",
            load: () => import("./commands/network/policy/get.ts"),
          },
          set: {
            summary: "Set the policy of a VM, or the default one",
            load: () => import("./commands/network/policy/set.ts"),
          },
          allow: {
            summary: "Add entries to a VM's policy",
            load: () => import("./commands/network/policy/allow.ts"),
          },
          deny: {
            summary: "Take entries out of a VM's policy",
            load: () => import("./commands/network/policy/deny.ts"),
          },
          clear: {
            summary: "Give a VM the default policy again",
            load: () => import("./commands/network/policy/clear.ts"),
          },
        },
      },
      presets: {
        summary: "The presets of network policies, and what they stand for",
        load: () => import("./commands/network/presets.ts"),
      },
      log: {
        summary: "Show what guests wanted and were not let through to",
        load: () => import("./commands/network/log.ts"),
      },
      service: {
        summary: "Things of the host that VMs may use",
        commands: {
          create: {
            summary: "Offer something of the host to the VMs whose policy names it",
            load: () => import("./commands/network/service/create.ts"),
          },
          list: {
            summary: "List host services",
            load: () => import("./commands/network/service/list.ts"),
            aliases: ["ls"],
          },
          delete: {
            summary: "Take a host service away, out of every policy too; its connections end",
            load: () => import("./commands/network/service/delete.ts"),
            aliases: ["rm"],
          },
        },
      },
      reconcile: {
        summary: "Compare the network's parts with what should be there, and remove what is left over",
        load: () => import("./commands/network/reconcile.ts"),
      },
      reset: {
        summary: "Take the whole network away, while no VM has an interface",
        load: () => import("./commands/network/reset.ts"),
      },
      setup: {
        summary: "Let a user's daemon join its network by a veth pair instead of pasta",
        load: () => import("./commands/network/setup.ts"),
      },
    },
  },
  work: {
    summary: "Work that is carried into a VM and back",
    commands: {
      push: {
        summary: "Carry a repository or a directory into a VM",
        load: () => import("./commands/work/push.ts"),
      },
      pull: {
        summary: "Bring a repository's changes back from a VM, as a branch",
        load: () => import("./commands/work/pull.ts"),
      },
    },
  },
  forward: {
    summary: "Places on the host whose connections go into VMs",
    commands: {
      list: { summary: "List forwards", load: () => import("./commands/forward/list.ts"), aliases: ["ls"] },
      delete: {
        summary: "Stop listening, and end the connections",
        load: () => import("./commands/forward/delete.ts"),
        aliases: ["rm"],
      },
    },
  },
  storage: {
    summary: "Where the disks live",
    commands: {
      status: {
        summary: "Show where the disks live and what is free",
        load: () => import("./commands/storage/status.ts"),
      },
      init: { summary: "Make and mount a btrfs for the disks", load: () => import("./commands/storage/init.ts") },
    },
  },
  token: {
    summary: "Tokens, which let MCP clients in",
    commands: {
      create: { summary: "Create a token for MCP clients", load: () => import("./commands/token/create.ts") },
      list: { summary: "List tokens", load: () => import("./commands/token/list.ts"), aliases: ["ls"] },
      revoke: { summary: "Revoke a token", load: () => import("./commands/token/revoke.ts"), aliases: ["rm"] },
    },
  },
  mcp: { summary: "Serve MCP on the standard streams", load: () => import("./commands/mcp.ts") },
  doctor: { summary: "Check this machine, and say what mends it", load: () => import("./commands/doctor.ts") },
  version: { summary: "Versions of nexusctl and of the daemon", load: () => import("./commands/version.ts") },
};

export function isGroup(entry: Entry): entry is Group {
  return "commands" in entry;
}

/** How far words lead into the table. */
export interface Walk {
  /** the words in their full spelling, for example `vm`, `start` */
  readonly path: readonly string[];
  readonly entry: Entry | null;
  /** words after those */
  readonly rest: readonly string[];
}

export function walk(words: readonly string[]): Walk {
  const path: string[] = [];
  let entry: Entry | null = null;
  for (let table: Group["commands"] | null = commandTable; table !== null;) {
    const found: [string, Entry] | null = find(table, words[path.length]);
    if (found === null) break;
    path.push(found[0]);
    entry = found[1];
    table = isGroup(entry) ? entry.commands : null;
  }
  return { path, entry, rest: words.slice(path.length) };
}

function find<T extends Entry>(table: Readonly<Record<string, T>>, word: string | undefined): [string, T] | null {
  return Object.entries(table).find(([name, { aliases }]) => name === word || aliases?.includes(word ?? "")) ?? null;
}
