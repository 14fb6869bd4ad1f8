import {
  WorkfortError,
  type Boot,
  type CreateVm,
  type NetworkPolicy,
  type Progress,
  type StartVm,
  type Vm,
  type VmHistory,
  type VmState,
} from "@workfort/contract";
import type { Drives } from "./drives.ts";
import { nameTaken, notFound } from "./errors.ts";
import type { EventSink } from "./events.ts";
import type { Forwards } from "./forwards.ts";
import { newId } from "./ids.ts";
import type { Images } from "./images.ts";
import type { Journal } from "./journal.ts";
import type { AddressPool } from "./network/address-pool.ts";
import type { Interfaces } from "./network/interfaces.ts";
import type { Policies } from "./network/policies.ts";
import type { ConsoleArchive, StorageDriver, Store } from "./ports.ts";
import type { BootRecord, VmRecord, WorkspaceRecord } from "./records.ts";
import type { Reservations } from "./reservations.ts";
import type { Restarts } from "./restarts.ts";
import type { StartOptions, Supervisor } from "./supervisor.ts";
import { requireDecision } from "./supervisor.ts";
import type { Workspaces } from "./workspaces.ts";

export interface VmDefaults {
  vcpuCount: number;
  memoryMiB: number;
}

/** VMs as records: made, found, shown, deleted. What lives is the supervisor's. */
export class Vms {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #storage: StorageDriver;
  readonly #images: Images;
  readonly #workspaces: Workspaces;
  readonly #drives: Drives;
  readonly #addresses: AddressPool;
  readonly #policies: Policies;
  readonly #interfaces: Interfaces;
  readonly #supervisor: Supervisor;
  readonly #reservations: Reservations;
  readonly #restarts: Restarts;
  readonly #defaults: VmDefaults;
  readonly #create: (data: NewVm) => Promise<void>;
  readonly #remove: (data: VmDisk) => Promise<void>;
  /** the highest context id ever given in this run of the daemon, so that creations in flight differ */
  #lastCid = 2;

  constructor(needs: {
    store: Store;
    events: EventSink;
    storage: StorageDriver;
    images: Images;
    workspaces: Workspaces;
    drives: Drives;
    forwards: Forwards;
    addresses: AddressPool;
    policies: Policies;
    interfaces: Interfaces;
    supervisor: Supervisor;
    consoles: ConsoleArchive;
    reservations: Reservations;
    restarts: Restarts;
    journal: Journal;
    defaults: VmDefaults;
  }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#storage = needs.storage;
    this.#images = needs.images;
    this.#workspaces = needs.workspaces;
    this.#drives = needs.drives;
    this.#addresses = needs.addresses;
    this.#policies = needs.policies;
    this.#interfaces = needs.interfaces;
    this.#supervisor = needs.supervisor;
    this.#reservations = needs.reservations;
    this.#restarts = needs.restarts;
    this.#defaults = needs.defaults;
    this.#create = needs.journal.build<NewVm>({
      kind: "vm.create",
      steps: [
        {
          name: "snapshot",
          run: async ({ workspace }) => {
            if (workspace !== null) await this.#storage.snapshot(workspace.imageId ?? "", workspace.id);
          },
          undo: async ({ workspace }) => {
            if (workspace !== null) await this.#storage.delete("workspaces", workspace.id);
          },
        },
      ],
      commit: ({ vm, workspace, policy }) => {
        if (workspace !== null) this.#workspaces.insert(workspace);
        this.#store.insertVm(vm);
        if (vm.hasNetwork) this.#addresses.numberFor(vm.id);
        if (policy !== null) this.#store.setNetworkPolicy(vm.id, policy);
        this.#store.insertStateChange({
          vmId: vm.id,
          from: null,
          to: "created",
          reason: vm.stateReason,
          at: vm.createdAt,
        });
        this.#events.publish({ type: "vm.created", vmId: vm.id, vmName: vm.name });
      },
      isBuilt: async ({ workspace }) => workspace === null || (await this.#storage.exists("workspaces", workspace.id)),
    });
    this.#remove = needs.journal.removal<VmDisk>({
      kind: "vm.delete",
      commit: ({ vm, workspace }) => {
        this.#drives.releaseAllOf(vm);
        this.#addresses.release(vm.id);
        this.#store.deleteVm(vm.id);
        this.#events.publish({ type: "vm.deleted", vmId: vm.id, vmName: vm.name });
        if (workspace !== null) this.#workspaces.remove(workspace);
      },
      steps: [
        { name: "forwards", run: () => needs.forwards.closeStrays() },
        { name: "console", run: ({ vm }) => needs.consoles.delete(vm.id) },
        {
          name: "disk",
          run: async ({ workspace }) => {
            if (workspace !== null) await this.#storage.delete("workspaces", workspace.id);
          },
        },
      ],
    });
  }

  async create(request: CreateVm): Promise<Vm> {
    const vmKey = `vm-name:${request.name}`;
    if (this.#store.findVm(request.name) !== null || this.#reservations.has(vmKey)) throw nameTaken("VM", request.name);
    const disk = request.workspace === undefined ? this.#newWorkspace(request) : this.#freeWorkspace(request.workspace);
    const asked = request.network?.policy;
    const policy = asked === undefined ? null : this.#policies.whole(asked);
    const vm = this.#newRecord(request, disk.workspace.id);
    await this.#reservations.hold([vmKey, ...disk.keys], () =>
      this.#create({ vm, workspace: disk.isNew ? disk.workspace : null, policy }),
    );
    return this.present(vm);
  }

  list(state?: VmState): Vm[] {
    const vms = this.#store.listVms();
    return (state === undefined ? vms : vms.filter((vm) => vm.state === state)).map((vm) => this.present(vm));
  }

  get(reference: string): Vm {
    return this.present(this.find(reference));
  }

  find(reference: string): VmRecord {
    const vm = this.#store.findVm(reference);
    if (vm === null) throw notFound("VM", reference);
    return vm;
  }

  async delete(reference: string, options: { keepWorkspace: boolean }): Promise<void> {
    await this.#supervisor.cleared(this.find(reference).id);
    const vm = this.find(reference);
    requireDecision(vm, "delete");
    this.#restarts.cancel(vm.id);
    await this.#remove({ vm, workspace: options.keepWorkspace ? null : this.#store.findWorkspace(vm.workspaceId) });
  }

  async start(reference: string, request: StartVm, options: { onProgress: (progress: Progress) => void }): Promise<Vm> {
    const vm = this.find(reference);
    this.#restarts.cancel(vm.id);
    await this.#start(vm, request, { ...options, reason: "start requested" });
    return this.get(vm.id);
  }

  /** A start that nobody asks for at the moment; resolves when the VMM runs. */
  async startUnasked(vmId: string, reason: string): Promise<void> {
    const request = { waitForAgent: false, timeoutMs: 0 };
    await this.#start(this.find(vmId), request, { onProgress: () => {}, reason });
  }

  async stop(reference: string, graceMs: number): Promise<Vm> {
    const vm = this.find(reference);
    if (this.#restarts.cancel(vm.id)) return this.get(vm.id); // it stands still already, and stays so now
    await this.#supervisor.stop(vm.id, graceMs);
    return this.get(vm.id);
  }

  async pause(reference: string): Promise<Vm> {
    const vm = this.find(reference);
    await this.#supervisor.pause(vm.id);
    return this.get(vm.id);
  }

  async resume(reference: string): Promise<Vm> {
    const vm = this.find(reference);
    await this.#supervisor.resume(vm.id);
    return this.get(vm.id);
  }

  async kill(reference: string): Promise<Vm> {
    const vm = this.find(reference);
    if (this.#restarts.cancel(vm.id)) return this.get(vm.id);
    await this.#supervisor.kill(vm.id);
    return this.get(vm.id);
  }

  history(reference: string): VmHistory {
    const vm = this.find(reference);
    return {
      states: this.#store.stateChanges(vm.id, 1000).map(({ vmId: _, ...change }) => change),
      boots: this.#store.boots(vm.id, 100).map(presentBoot),
    };
  }

  present(vm: VmRecord): Vm {
    const { hasNetwork: _, ...record } = vm;
    const workspace = this.#store.findWorkspace(vm.workspaceId);
    const image = workspace?.imageId == null ? null : this.#store.findImage(workspace.imageId);
    return {
      ...record,
      workspaceName: workspace?.name ?? vm.name,
      imageName: image?.name ?? null,
      drives: this.#drives.ofVm(vm.id),
      network: this.#interfaces.of(vm),
      restartAt: this.#restarts.dueAt(vm.id),
      ...this.#supervisor.liveFacts(vm),
    };
  }

  async #start(vm: VmRecord, request: StartVm, options: StartOptions): Promise<void> {
    await this.#drives.whileStarting(vm, () => this.#supervisor.start(vm.id, request, options));
  }

  #newWorkspace(request: CreateVm): { workspace: WorkspaceRecord; isNew: boolean; keys: string[] } {
    const image = this.#images.find(request.image ?? "");
    if (this.#workspaces.isNameTaken(request.name)) {
      throw new WorkfortError(
        "name_taken",
        `there is already a workspace named "${request.name}", which the VM's new one would be`,
        {
          hint: `nexusctl vm create ${request.name} --workspace ${request.name}`,
        },
      );
    }
    const workspace: WorkspaceRecord = {
      id: newId("ws"),
      name: request.name,
      imageId: image.id,
      createdAt: Date.now(),
    };
    return { workspace, isNew: true, keys: [`workspace-name:${request.name}`, `image:${image.id}`] };
  }

  #freeWorkspace(reference: string): { workspace: WorkspaceRecord; isNew: boolean; keys: string[] } {
    const workspace = this.#workspaces.find(reference);
    const key = `workspace:${workspace.id}`;
    const user = this.#store.vmOfWorkspace(workspace.id);
    if (user !== null || this.#reservations.has(key)) {
      throw new WorkfortError(
        "in_use",
        `workspace "${workspace.name}" is the disk of ${user === null ? "another VM" : `VM "${user.name}"`}`,
        {
          hint: "nexusctl workspace list",
        },
      );
    }
    return { workspace, isNew: false, keys: [key] };
  }

  #newRecord(request: CreateVm, workspaceId: string): VmRecord {
    this.#lastCid = Math.max(this.#lastCid, this.#store.highestCid()) + 1;
    return {
      id: newId("vm"),
      name: request.name,
      state: "created",
      stateReason: "created on request",
      cid: this.#lastCid,
      vcpuCount: request.vcpuCount ?? this.#defaults.vcpuCount,
      memoryMiB: request.memoryMiB ?? this.#defaults.memoryMiB,
      vmm: request.vmm,
      restart: request.restart,
      startOnBoot: request.startOnBoot,
      hasNetwork: request.network?.enabled ?? true,
      workspaceId,
      createdAt: Date.now(),
      startedAt: null,
      endedAt: null,
    };
  }
}

/** a VM and, where it comes or goes with it, its workspace */
interface VmDisk {
  vm: VmRecord;
  workspace: WorkspaceRecord | null;
}

interface NewVm extends VmDisk {
  /** its own; null for the default */
  policy: NetworkPolicy | null;
}

function presentBoot({ vmId: _, run: __, attached: ___, networkTrouble: ____, ...boot }: BootRecord): Boot {
  return boot;
}
