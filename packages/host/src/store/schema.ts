/** Version of the tables below; a file of another version is set aside, never changed. */
export const schemaVersion = 6;

export const schema = `
CREATE TABLE images (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL,
  used_bytes INTEGER NOT NULL,
  source TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE workspaces (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  image_id TEXT REFERENCES images (id) ON DELETE RESTRICT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX workspaces_by_image ON workspaces (image_id);

CREATE TABLE vms (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  state_reason TEXT NOT NULL,
  cid INTEGER NOT NULL UNIQUE CHECK (cid >= 3),
  vcpu_count INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  vmm TEXT NOT NULL,
  restart TEXT NOT NULL,
  start_on_boot INTEGER NOT NULL CHECK (start_on_boot IN (0, 1)),
  has_network INTEGER NOT NULL CHECK (has_network IN (0, 1)),
  workspace_id TEXT NOT NULL UNIQUE REFERENCES workspaces (id) ON DELETE RESTRICT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER
) STRICT;

CREATE TABLE drives (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL,
  source TEXT,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL UNIQUE,
  vms TEXT,
  own_vms TEXT NOT NULL,
  tools TEXT,
  max_vms INTEGER NOT NULL,
  max_memory_mib INTEGER,
  max_vcpu_count INTEGER,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER
) STRICT;

CREATE TABLE attachments (
  drive_id TEXT PRIMARY KEY REFERENCES drives (id) ON DELETE RESTRICT,
  vm_id TEXT NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  mount_path TEXT,
  read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
  rate_limit TEXT,
  UNIQUE (vm_id, number),
  UNIQUE (vm_id, mount_path)
) STRICT, WITHOUT ROWID;

CREATE TABLE forwards (
  id TEXT PRIMARY KEY,
  vm_id TEXT NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
  host_address TEXT,
  host_port INTEGER,
  host_socket TEXT,
  guest_port INTEGER,
  guest_socket TEXT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX forwards_by_vm ON forwards (vm_id);

CREATE TABLE state_changes (
  number INTEGER PRIMARY KEY,
  vm_id TEXT NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
  from_state TEXT,
  to_state TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX state_changes_by_vm ON state_changes (vm_id, number);

CREATE TABLE boots (
  vm_id TEXT NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ready_at INTEGER,
  ended_at INTEGER,
  vmm TEXT,
  accelerator TEXT,
  kernel TEXT,
  phases TEXT NOT NULL,
  guest_boot_ms REAL,
  end_reason TEXT,
  exit_code INTEGER,
  signal TEXT,
  run TEXT,
  attached INTEGER NOT NULL CHECK (attached IN (0, 1)),
  network_trouble TEXT,
  PRIMARY KEY (vm_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE addresses (
  number INTEGER PRIMARY KEY CHECK (number >= 2),
  vm_id TEXT UNIQUE REFERENCES vms (id) ON DELETE RESTRICT,
  released_at INTEGER,
  CHECK ((vm_id IS NULL) = (released_at IS NOT NULL))
) STRICT;
CREATE INDEX free_addresses ON addresses (released_at, number) WHERE vm_id IS NULL;

CREATE TABLE network_policies (
  vm_id TEXT PRIMARY KEY REFERENCES vms (id) ON DELETE CASCADE,
  policy TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE network (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  default_policy TEXT,
  subnets TEXT
) STRICT;
INSERT INTO network (only) VALUES (1);

CREATE TABLE host_services (
  name TEXT PRIMARY KEY,
  port INTEGER NOT NULL UNIQUE,
  target TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE host_boot (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  boot_id TEXT NOT NULL
) STRICT;

CREATE TABLE intents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  data TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

PRAGMA user_version = ${schemaVersion};
`;
