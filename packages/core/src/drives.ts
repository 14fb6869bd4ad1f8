import {
  defaultDriveBytes,
  WorkfortError,
  type AttachDrive,
  type CreateDrive,
  type Drive,
  type DriveDetail,
  type Progress,
  type RateLimit,
  type VmDrive,
} from "@workfort/contract";
import { decide } from "./decide.ts";
import { nameTaken, notFound } from "./errors.ts";
import type { EventSink } from "./events.ts";
import { newId } from "./ids.ts";
import type { Journal } from "./journal.ts";
import type { DiskBuilder, StorageDriver, Store } from "./ports.ts";
import type { DriveRecord, VmRecord } from "./records.ts";
import type { Reservations } from "./reservations.ts";
import { dataDevice, refuseDrive } from "./vm-disks.ts";

/** sizes are whole ones */
const mebibyte = 1024 ** 2;

interface Calling {
  signal?: AbortSignal | undefined;
  onProgress: (progress: Progress) => void;
}

/**
 * Data drives: disks of their own, each attached to at most one VM.
 *
 * A drive's file is touched here only while no VM runs with it. Whoever touches it holds `drive:ID`; whoever starts
 * a VM holds `vm-start:ID`. Each looks for the other's key and takes its own without a pause in between, so of a start
 * and a change that race one is refused.
 */
export class Drives {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #storage: StorageDriver;
  readonly #builder: DiskBuilder;
  readonly #reservations: Reservations;
  readonly #create: (data: Creation) => Promise<void>;
  readonly #remove: (drive: DriveRecord) => Promise<void>;
  readonly #resize: (data: Growth) => Promise<void>;
  /** what the running changes were given; not journalled, since a change that died is undone */
  readonly #running = new Map<string, Calling>();

  constructor(needs: {
    store: Store;
    events: EventSink;
    storage: StorageDriver;
    builder: DiskBuilder;
    reservations: Reservations;
    journal: Journal;
  }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#storage = needs.storage;
    this.#builder = needs.builder;
    this.#reservations = needs.reservations;
    this.#create = needs.journal.build<Creation>({
      kind: "drive.create",
      steps: [
        {
          name: "disk",
          run: (data) => this.#makeDisk(data),
          undo: ({ drive }) => this.#storage.delete("drives", drive.id),
        },
      ],
      commit: ({ drive }) => {
        this.#store.insertDrive(drive);
        this.#events.publish({ type: "drive.created", ...told(drive) });
      },
      // a snapshot is there or not; of a disk that was being filled only that run knows whether it was done
      isBuilt: async ({ drive, snapshotOfId }) =>
        snapshotOfId !== null && (await this.#storage.exists("drives", drive.id)),
    });
    this.#remove = needs.journal.removal<DriveRecord>({
      kind: "drive.delete",
      commit: (drive) => {
        this.#store.deleteDrive(drive.id);
        this.#events.publish({ type: "drive.deleted", ...told(drive) });
      },
      steps: [{ name: "disk", run: (drive) => this.#storage.delete("drives", drive.id) }],
    });
    this.#resize = needs.journal.build<Growth>({
      kind: "drive.resize",
      steps: [
        {
          name: "disk",
          run: ({ driveId, sizeBytes }) =>
            this.#storage.replaceDrive(driveId, (copy) =>
              this.#builder.grow(copy, sizeBytes, this.#running.get(driveId)?.signal),
            ),
          undo: ({ driveId }) => this.#storage.dropReplacement(driveId),
        },
      ],
      commit: ({ driveId, sizeBytes }) => {
        this.#store.updateDrive(driveId, { sizeBytes });
        this.#events.publish({ type: "drive.resized", ...told(this.#find(driveId)), sizeBytes });
      },
      isBuilt: async ({ driveId, sizeBytes }) => (await this.#storage.size("drives", driveId)) === sizeBytes,
    });
  }

  async create(request: CreateDrive, calling: Calling): Promise<Drive> {
    const nameKey = `drive-name:${request.name}`;
    if (this.#store.findDrive(request.name) !== null || this.#reservations.has(nameKey))
      throw nameTaken("drive", request.name);
    const original = request.snapshotOf === undefined ? null : this.#find(request.snapshotOf);
    if (original !== null) this.#requireQuiet(original);
    const drive: DriveRecord = {
      id: newId("drv"),
      name: request.name,
      sizeBytes: original?.sizeBytes ?? request.sizeBytes ?? (request.from === undefined ? defaultDriveBytes : 0),
      source: original?.name ?? request.from ?? null,
      createdAt: Date.now(),
    };
    const keys = [nameKey, ...(original === null ? [] : [keyOf(original)])];
    await this.#reservations.hold(keys, () =>
      this.#during(drive.id, calling, () =>
        this.#create({ drive, from: request.from ?? null, snapshotOfId: original?.id ?? null }),
      ),
    );
    return this.#present(drive);
  }

  list(): Drive[] {
    return this.#store.listDrives().map((drive) => this.#present(drive));
  }

  async get(reference: string): Promise<DriveDetail> {
    const drive = this.#find(reference);
    const { sharedBytes, exclusiveBytes } = await this.#storage.usage("drives", drive.id);
    return { ...this.#present(drive), sharedBytes, exclusiveBytes };
  }

  async delete(reference: string): Promise<void> {
    const drive = this.#find(reference);
    const vm = this.#vmOf(drive);
    if (vm !== null)
      throw new WorkfortError("in_use", `drive "${drive.name}" is attached to VM "${vm.name}"`, {
        hint: `nexusctl drive detach ${drive.name}`,
      });
    this.#requireUntouched(drive);
    await this.#remove(drive);
  }

  /** Takes effect when the VM starts. */
  async attach(reference: string, request: AttachDrive): Promise<Drive> {
    const drive = this.#find(reference);
    this.#requireUntouched(drive);
    this.#requireAttachable(drive, request);
    await this.#reservations.hold([keyOf(drive)], async () => {
      // a guest that may not write cannot do it, and would not see what the journal holds
      if (request.readOnly) await this.#builder.replayJournal(this.#storage.diskPath("drives", drive.id));
      const vm = this.#requireAttachable(drive, request); // once more: the VM may have been started meanwhile
      const last = this.#store.attachmentsOf(vm.id).at(-1)?.number ?? 0;
      this.#store.insertAttachment({
        driveId: drive.id,
        vmId: vm.id,
        number: last + 1,
        mountPath: request.mountPath ?? null,
        readOnly: request.readOnly,
        rateLimit: rateLimitOf(request),
      });
      this.#events.publish({ type: "drive.attached", ...told(drive), vmId: vm.id, vmName: vm.name });
    });
    return this.#present(drive);
  }

  detach(reference: string): Drive {
    const drive = this.#find(reference);
    const vm = this.#vmOf(drive);
    if (vm === null)
      throw new WorkfortError("wrong_state", `drive "${drive.name}" is not attached to a VM`, {
        hint: "nexusctl drive list",
      });
    this.#requireQuiet(drive);
    this.#release(drive, vm);
    return this.#present(drive);
  }

  async resize(reference: string, wantedBytes: number, signal?: AbortSignal): Promise<Drive> {
    const drive = this.#find(reference);
    const sizeBytes = Math.ceil(wantedBytes / mebibyte) * mebibyte;
    if (sizeBytes < drive.sizeBytes)
      throw new WorkfortError(
        "wrong_state",
        `drive "${drive.name}" has ${drive.sizeBytes} bytes and cannot be made smaller: what lies beyond ${wantedBytes} bytes could be lost`,
        { hint: "create a smaller drive, and copy what is needed in a VM that has both" },
      );
    this.#requireQuiet(drive);
    if (sizeBytes > drive.sizeBytes)
      await this.#reservations.hold([keyOf(drive)], () =>
        this.#during(drive.id, { signal, onProgress: () => {} }, () => this.#resize({ driveId: drive.id, sizeBytes })),
      );
    return this.#present(this.#find(drive.id));
  }

  /** Within the transaction that deletes a VM: its drives stay, and are nobody's. */
  releaseAllOf(vm: VmRecord): void {
    for (const { driveId } of this.#store.attachmentsOf(vm.id)) this.#release(this.#find(driveId), vm);
  }

  /** The data drives of a VM, in the order of their devices. */
  ofVm(vmId: string): VmDrive[] {
    return this.#store.attachmentsOf(vmId).map(({ driveId, mountPath, readOnly }, place) => ({
      id: driveId,
      name: this.#find(driveId).name,
      device: dataDevice(place),
      mountPath,
      readOnly,
    }));
  }

  /** Runs a start of the VM, unless one of its drives is being copied or changed. */
  async whileStarting<T>(vm: VmRecord, start: () => Promise<T>): Promise<T> {
    for (const { driveId } of this.#store.attachmentsOf(vm.id)) this.#requireUntouched(this.#find(driveId));
    return await this.#reservations.hold([`vm-start:${vm.id}`], start);
  }

  #release(drive: DriveRecord, vm: VmRecord): void {
    this.#store.deleteAttachment(drive.id);
    this.#events.publish({ type: "drive.detached", ...told(drive), vmId: vm.id, vmName: vm.name });
  }

  async #makeDisk({ drive, from, snapshotOfId }: Creation): Promise<void> {
    if (snapshotOfId !== null) return await this.#storage.snapshotDrive(snapshotOfId, drive.id);
    const calling = this.#running.get(drive.id);
    await this.#storage.createDrive(drive.id, async (path) => {
      const built = await this.#builder.buildDrive(from, path, {
        sizeBytes: drive.sizeBytes === 0 ? undefined : drive.sizeBytes,
        signal: calling?.signal,
        onProgress: calling?.onProgress,
      });
      drive.sizeBytes = built.sizeBytes;
    });
  }

  async #during(driveId: string, calling: Calling, work: () => Promise<void>): Promise<void> {
    this.#running.set(driveId, calling);
    try {
      await work();
    } finally {
      this.#running.delete(driveId);
    }
  }

  #find(reference: string): DriveRecord {
    const drive = this.#store.findDrive(reference);
    if (drive === null) throw notFound("drive", reference);
    return drive;
  }

  #vmOf(drive: DriveRecord): VmRecord | null {
    const attachment = this.#store.attachmentOf(drive.id);
    return attachment === null ? null : this.#store.findVm(attachment.vmId);
  }

  /** Throws while the drive's file is being copied or changed. */
  #requireUntouched(drive: DriveRecord): void {
    if (!this.#reservations.has(keyOf(drive))) return;
    throw new WorkfortError("in_use", `drive "${drive.name}" is being copied or changed`, {
      hint: "wait until that is done, then try again",
    });
  }

  /** Throws while the drive's file is being copied or changed, or may be in the hands of a VMM. */
  #requireQuiet(drive: DriveRecord): void {
    this.#requireUntouched(drive);
    const vm = this.#vmOf(drive);
    if (vm !== null) this.#requireStopped(vm, `drive "${drive.name}" is attached to it`);
  }

  #requireStopped(vm: VmRecord, why: string): void {
    const decision = decide(vm, "change_drives");
    if (!decision.accept) throw new WorkfortError("wrong_state", `${decision.reason}; ${why}`, { hint: decision.hint });
    if (this.#reservations.has(`vm-start:${vm.id}`))
      throw new WorkfortError("wrong_state", `VM "${vm.name}" is starting; ${why}`, {
        hint: `nexusctl vm stop ${vm.name}`,
      });
  }

  /** Throws unless the VM can be given the drive in this way. */
  #requireAttachable(drive: DriveRecord, request: AttachDrive): VmRecord {
    const vm = this.#store.findVm(request.vm);
    if (vm === null) throw notFound("VM", request.vm);
    const user = this.#vmOf(drive);
    if (user !== null)
      throw new WorkfortError("in_use", `drive "${drive.name}" is attached to VM "${user.name}"`, {
        hint: `nexusctl drive detach ${drive.name}`,
      });
    this.#requireStopped(vm, "drives are attached while it does not run");
    const refusal = refuseDrive(this.#store.attachmentsOf(vm.id), request);
    if (refusal !== null)
      throw new WorkfortError(
        refusal.code,
        `drive "${drive.name}" cannot be attached to VM "${vm.name}": ${refusal.why}`,
        {
          hint: `nexusctl vm get ${vm.name}`,
        },
      );
    return vm;
  }

  #present(drive: DriveRecord): Drive {
    const attachment = this.#store.attachmentOf(drive.id);
    const vm = attachment === null ? null : this.#store.findVm(attachment.vmId);
    return {
      ...drive,
      attachment:
        attachment === null || vm === null
          ? null
          : {
              vmId: vm.id,
              vmName: vm.name,
              mountPath: attachment.mountPath,
              readOnly: attachment.readOnly,
              rateLimit: attachment.rateLimit,
            },
    };
  }
}

function rateLimitOf({ rateLimit }: AttachDrive): RateLimit | null {
  const { bytesPerSecond = null, operationsPerSecond = null } = rateLimit ?? {};
  return bytesPerSecond === null && operationsPerSecond === null ? null : { bytesPerSecond, operationsPerSecond };
}

function told({ id, name }: DriveRecord): { driveId: string; driveName: string } {
  return { driveId: id, driveName: name };
}

function keyOf(drive: DriveRecord): string {
  return `drive:${drive.id}`;
}

interface Creation {
  /** size 0: as its content needs */
  drive: DriveRecord;
  from: string | null;
  snapshotOfId: string | null;
}

interface Growth {
  driveId: string;
  sizeBytes: number;
}
