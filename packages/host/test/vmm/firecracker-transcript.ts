/**
 * What Firecracker 1.15.1 answers before a VM is started, recorded from the program: each part is asked of a fresh
 * process, which has a file `disk` of 1024 bytes in its working directory. The recording is replayed against the double
 * and, where FIRECRACKER_ORIGINAL names it, against the program itself.
 *
 * A request is its method, its path and its body; an answer is 204, or the JSON of a 200, or the fault of a 400.
 */
export type Step = readonly [request: string, answer: 204 | string, more?: "deprecated" | 413];

export const transcript: Record<string, readonly Step[]> = {
  "what a fresh process says": [
    ["GET /", '{"id":"anonymous-instance","state":"Not started","vmm_version":"1.15.1","app_name":"Firecracker"}'],
    ["GET /version", '{"firecracker_version":"1.15.1"}'],
    [
      "GET /machine-config",
      '{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"}',
    ],
    [
      "GET /vm/config",
      '{"balloon":null,"drives":[],"boot-source":{"kernel_image_path":"","initrd_path":null,"boot_args":null},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":null,"network-interfaces":[],"vsock":null,"entropy":null,"pmem":[],"memory-hotplug":null}',
    ],
    [
      "GET /vm/config/anything",
      '{"balloon":null,"drives":[],"boot-source":{"kernel_image_path":"","initrd_path":null,"boot_args":null},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":null,"network-interfaces":[],"vsock":null,"entropy":null,"pmem":[],"memory-hotplug":null}',
    ],
    ["GET //version", '{"firecracker_version":"1.15.1"}'],
    ["GET http://localhost/version", '{"firecracker_version":"1.15.1"}'],
    [
      "GET http://localhost",
      '{"id":"anonymous-instance","state":"Not started","vmm_version":"1.15.1","app_name":"Firecracker"}',
    ],
    [
      "GET version",
      '{"id":"anonymous-instance","state":"Not started","vmm_version":"1.15.1","app_name":"Firecracker"}',
    ],
    ["GET /version?x=1", "Invalid request method and/or path: GET version?x=1."],
    ["GET /balloon", "Balloon config error: No balloon device found."],
    ["GET /mmds", "{}"],
    ["GET /mmds/config", "{}"],
  ],
  "paths, methods and bodies that do not go together": [
    ["GET /nope/x", "Invalid request method and/or path: GET nope."],
    ["GET /Version", "Invalid request method and/or path: GET Version."],
    ["GET /vm", "Invalid request method and/or path: GET vm."],
    ["GET /drives", "Invalid request method and/or path: GET drives."],
    ["GET /actions", "Invalid request method and/or path: GET actions."],
    ["GET /balloon/x", "Unrecognized GET request path `x`."],
    ["GET /balloon/hinting/x", "Unrecognized GET request path `/hinting/x`."],
    ["PUT / {}", "Invalid request method and/or path: PUT ."],
    ["PUT /version {}", "Invalid request method and/or path: PUT version."],
    ["PUT /vm/config {}", "Invalid request method and/or path: PUT vm."],
    ["PUT /mmds/x {}", "Unrecognized PUT request path `x`."],
    ["PUT /snapshot {}", "Missing snapshot operation type."],
    ["PUT /snapshot/x {}", "Invalid request method and/or path: PUT /snapshot/x."],
    ["PUT /hotplug/x {}", "Invalid request method and/or path: PUT hotplug."],
    ["PATCH /vsock {}", "Invalid request method and/or path: PATCH vsock."],
    ["PATCH /boot-source {}", "Invalid request method and/or path: PATCH boot-source."],
    ["PATCH /balloon/hinting/x {}", "Unrecognized PATCH request path `/hinting/x`."],
    ["PUT /x", "Empty PUT request."],
    ["PATCH /x", "Empty PATCH request."],
    ["GET /x {}", "GET request cannot have a body."],
  ],
  "what only a started VM can do": [
    ['PATCH /vm {"state":"Paused"}', "The requested operation is not supported before starting the microVM."],
    ['PATCH /vm {"state":"Resumed"}', "The requested operation is not supported before starting the microVM."],
    [
      'PUT /actions {"action_type":"FlushMetrics"}',
      "The requested operation is not supported before starting the microVM.",
    ],
    [
      'PUT /actions {"action_type":"SendCtrlAltDel"}',
      "The requested operation is not supported before starting the microVM.",
    ],
    ['PATCH /drives/a {"drive_id":"a"}', "The requested operation is not supported before starting the microVM."],
    [
      'PATCH /network-interfaces/a {"iface_id":"a"}',
      "The requested operation is not supported before starting the microVM.",
    ],
    ['PATCH /balloon {"amount_mib":1}', "The requested operation is not supported before starting the microVM."],
    ["GET /balloon/statistics", "The requested operation is not supported before starting the microVM."],
    [
      'PATCH /balloon/statistics {"stats_polling_interval_s":1}',
      "The requested operation is not supported before starting the microVM.",
    ],
    ["PATCH /balloon/hinting/start", "The requested operation is not supported before starting the microVM."],
    ["GET /balloon/hinting/status", "The requested operation is not supported before starting the microVM."],
    ["GET /hotplug/memory", "The requested operation is not supported before starting the microVM."],
    [
      'PATCH /hotplug/memory {"requested_size_mib":1}',
      "The requested operation is not supported before starting the microVM.",
    ],
    [
      'PUT /snapshot/create {"snapshot_path":"a","mem_file_path":"b"}',
      "The requested operation is not supported before starting the microVM.",
    ],
    [
      'PUT /actions {"action_type":"InstanceStart"}',
      "Start microvm error: Cannot start microvm without kernel configuration.",
    ],
  ],
  "JSON that does not fit": [
    [
      "PUT /machine-config {}",
      "An error occurred when deserializing the json body of a request: missing field `vcpu_count` at line 1 column 2.",
    ],
    [
      "PUT /machine-config x",
      "An error occurred when deserializing the json body of a request: expected value at line 1 column 1.",
    ],
    [
      "PUT /machine-config 1",
      "An error occurred when deserializing the json body of a request: invalid type: integer `1`, expected struct MachineConfig at line 1 column 1.",
    ],
    [
      'PUT /machine-config "s"',
      'An error occurred when deserializing the json body of a request: invalid type: string "s", expected struct MachineConfig at line 1 column 3.',
    ],
    [
      "PUT /machine-config null",
      "An error occurred when deserializing the json body of a request: invalid type: null, expected struct MachineConfig at line 1 column 4.",
    ],
    [
      "PUT /machine-config {",
      "An error occurred when deserializing the json body of a request: EOF while parsing an object at line 1 column 1.",
    ],
    [
      'PUT /machine-config {"vcpu_count"',
      "An error occurred when deserializing the json body of a request: EOF while parsing an object at line 1 column 13.",
    ],
    [
      'PUT /machine-config {"vcpu_count":',
      "An error occurred when deserializing the json body of a request: EOF while parsing a value at line 1 column 14.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1',
      "An error occurred when deserializing the json body of a request: EOF while parsing an object at line 1 column 15.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1,}',
      "An error occurred when deserializing the json body of a request: trailing comma at line 1 column 17.",
    ],
    [
      "PUT /machine-config {vcpu:1}",
      "An error occurred when deserializing the json body of a request: key must be a string at line 1 column 2.",
    ],
    [
      'PUT /machine-config {"vcpu_count":256,"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid value: integer `256`, expected u8 at line 1 column 17.",
    ],
    [
      'PUT /machine-config {"vcpu_count":-1,"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid value: integer `-1`, expected u8 at line 1 column 16.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1.5,"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid type: floating point `1.5`, expected u8 at line 1 column 17.",
    ],
    [
      'PUT /machine-config {"vcpu_count":"1","mem_size_mib":128}',
      'An error occurred when deserializing the json body of a request: invalid type: string "1", expected u8 at line 1 column 17.',
    ],
    [
      'PUT /machine-config {"vcpu_count":null,"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid type: null, expected u8 at line 1 column 18.",
    ],
    [
      'PUT /machine-config {"vcpu_count":true,"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid type: boolean `true`, expected u8 at line 1 column 18.",
    ],
    [
      'PUT /machine-config {"vcpu_count":[1],"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid type: sequence, expected u8 at line 1 column 14.",
    ],
    [
      'PUT /machine-config {"vcpu_count":{},"mem_size_mib":128}',
      "An error occurred when deserializing the json body of a request: invalid type: map, expected u8 at line 1 column 14.",
    ],
    [
      'PUT /machine-config {"vcpu_count":01}',
      "An error occurred when deserializing the json body of a request: invalid number at line 1 column 16.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1,"vcpu_count":1}',
      "An error occurred when deserializing the json body of a request: duplicate field `vcpu_count` at line 1 column 28.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1,\n "foo": 3}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected one of `vcpu_count`, `mem_size_mib`, `smt`, `cpu_template`, `track_dirty_pages`, `huge_pages` at line 2 column 6.",
    ],
    [
      'PUT /machine-config {"smt":1}',
      "An error occurred when deserializing the json body of a request: invalid type: integer `1`, expected a boolean at line 1 column 8.",
    ],
    [
      'PUT /machine-config {"huge_pages":"4M"}',
      "An error occurred when deserializing the json body of a request: unknown variant `4M`, expected `None` or `2M` at line 1 column 18.",
    ],
    [
      'PUT /machine-config {"huge_pages":1}',
      "An error occurred when deserializing the json body of a request: expected value at line 1 column 15.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1,"mem_size_mib":128} x',
      "An error occurred when deserializing the json body of a request: trailing characters at line 1 column 37.",
    ],
    [
      'PUT /actions {"action_type":"x"}',
      "An error occurred when deserializing the json body of a request: unknown variant `x`, expected one of `FlushMetrics`, `InstanceStart`, `SendCtrlAltDel` at line 1 column 18.",
    ],
    [
      'PUT /actions {"action_type":"InstanceStart","x":1}',
      "An error occurred when deserializing the json body of a request: unknown field `x`, expected `action_type` at line 1 column 34.",
    ],
    [
      'PATCH /vm {"state":"x"}',
      "An error occurred when deserializing the json body of a request: unknown variant `x`, expected `Paused` or `Resumed` at line 1 column 12.",
    ],
    [
      'PUT /entropy {"foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected `rate_limiter` at line 1 column 6.",
    ],
    [
      'PUT /serial {"foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected `serial_out_path` at line 1 column 6.",
    ],
    [
      'PUT /logger {"foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected one of `log_path`, `level`, `show_level`, `show_log_origin`, `module` at line 1 column 6.",
    ],
    [
      'PUT /logger {"level":"x"}',
      "An error occurred when deserializing the json body of a request: Invalid LevelFilter at line 1 column 13.",
    ],
    [
      'PUT /vsock {"guest_cid":3,"uds_path":"v","foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected one of `vsock_id`, `guest_cid`, `uds_path` at line 1 column 35.",
    ],
    [
      'PUT /vsock {"guest_cid":4294967296,"uds_path":"v"}',
      "An error occurred when deserializing the json body of a request: invalid value: integer `4294967296`, expected u32 at line 1 column 23.",
    ],
    [
      'PUT /boot-source {"kernel_image_path":1}',
      "An error occurred when deserializing the json body of a request: invalid type: integer `1`, expected a string at line 1 column 22.",
    ],
  ],
  "the machine": [
    [
      'PUT /machine-config {"vcpu_count":0,"mem_size_mib":128}',
      "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.",
    ],
    [
      'PUT /machine-config {"vcpu_count":33,"mem_size_mib":128}',
      "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1,"mem_size_mib":0}',
      "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.",
    ],
    [
      'PUT /machine-config {"vcpu_count":3,"mem_size_mib":128,"smt":true}',
      "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.",
    ],
    [
      'PUT /machine-config {"vcpu_count":1,"mem_size_mib":127,"huge_pages":"2M"}',
      "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.",
    ],
    ['PUT /machine-config {"vcpu_count":1,"mem_size_mib":128,"cpu_template":"T2"}', 204, "deprecated"],
    ['PUT /machine-config {"vcpu_count":2,"mem_size_mib":256,"track_dirty_pages":true}', 204],
    ["PATCH /machine-config {}", "Empty PATCH request."],
    ['PATCH /machine-config {"vcpu_count":null}', "Empty PATCH request."],
    ['PATCH /machine-config {"vcpu_count":4}', 204],
    [
      'PATCH /machine-config {"vcpu_count":8,"mem_size_mib":0}',
      "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.",
    ],
    [
      "GET /machine-config",
      '{"vcpu_count":4,"mem_size_mib":256,"smt":false,"cpu_template":"T2","track_dirty_pages":true,"huge_pages":"None"}',
    ],
    ['PUT /machine-config {"vcpu_count":32,"mem_size_mib":128}', 204],
    [
      "GET /machine-config",
      '{"vcpu_count":32,"mem_size_mib":128,"smt":false,"cpu_template":"T2","track_dirty_pages":false,"huge_pages":"None"}',
    ],
  ],
  "the boot source": [
    [
      "PUT /boot-source {}",
      "An error occurred when deserializing the json body of a request: missing field `kernel_image_path` at line 1 column 2.",
    ],
    [
      'PUT /boot-source {"kernel_image_path":"nope"}',
      "Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)",
    ],
    [
      'PUT /boot-source {"kernel_image_path":"disk","initrd_path":"nope"}',
      "Boot source error: The initrd file cannot be opened due to invalid path or invalid permissions. No such file or directory (os error 2)",
    ],
    [
      'PUT /boot-source {"kernel_image_path":"disk","foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected one of `kernel_image_path`, `initrd_path`, `boot_args` at line 1 column 33.",
    ],
    [`PUT /boot-source {"kernel_image_path":"disk","boot_args":"${"x".repeat(2047)}"}`, 204],
    [
      `PUT /boot-source {"kernel_image_path":"disk","boot_args":"${"x".repeat(2048)}"}`,
      "Boot source error: The kernel command line is invalid: Invalid cmdline capacity provided.",
    ],
    ['PUT /boot-source {"kernel_image_path":"disk","boot_args":"a=b"}', 204],
    [
      'PUT /actions {"action_type":"InstanceStart"}',
      "Start microvm error: System configuration error: Cannot load kernel due to invalid memory configuration or invalid kernel image: Kernel Loader: failed to load ELF kernel image: Kernel Loader: Invalid Elf magic number",
    ],
    [
      "GET /vm/config",
      '{"balloon":null,"drives":[],"boot-source":{"kernel_image_path":"disk","initrd_path":null,"boot_args":"a=b"},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":null,"network-interfaces":[],"vsock":null,"entropy":null,"pmem":[],"memory-hotplug":null}',
    ],
    ["GET /", '{"id":"anonymous-instance","state":"Not started","vmm_version":"1.15.1","app_name":"Firecracker"}'],
  ],
  drives: [
    ["PUT /drives {}", "The ID cannot be empty."],
    ["PUT /drives/a-b {}", "API Resource IDs can only contain alphanumeric characters and underscores."],
    [
      "PUT /drives/a {}",
      "An error occurred when deserializing the json body of a request: missing field `drive_id` at line 1 column 2.",
    ],
    [
      'PUT /drives/a {"drive_id":"b","is_root_device":false,"path_on_host":"disk"}',
      "The id from the path does not match the id from the body!",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"nope"}',
      "Drive config error: Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file: No such file or directory (os error 2) nope",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"."}',
      "Drive config error: Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file: Is a directory (os error 21) .",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false}',
      "Drive config error: Unable to create the virtio block device: Invalid block config.",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"disk","socket":"s"}',
      "Drive config error: Unable to create the virtio block device: Invalid block config.",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"disk","foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected one of `drive_id`, `partuuid`, `is_root_device`, `cache_type`, `is_read_only`, `path_on_host`, `rate_limiter`, `io_engine`, `socket` at line 1 column 66.",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"disk","cache_type":"writeback"}',
      "An error occurred when deserializing the json body of a request: unknown variant `writeback`, expected `Unsafe` or `Writeback` at line 1 column 85.",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"disk","rate_limiter":{"ops":{"size":1}}}',
      "An error occurred when deserializing the json body of a request: missing field `refill_time` at line 1 column 93.",
    ],
    [
      'PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"disk","rate_limiter":{"foo":1}}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected `bandwidth` or `ops` at line 1 column 82.",
    ],
    ['PUT /drives/a {"drive_id":"a","is_root_device":false,"path_on_host":"disk"}', 204],
    [
      'PUT /drives/b {"drive_id":"b","is_root_device":true,"path_on_host":"disk","partuuid":"x","io_engine":"Async"}',
      204,
    ],
    [
      'PUT /drives/c {"drive_id":"c","is_root_device":true,"path_on_host":"disk"}',
      "Drive config error: A root block device already exists!",
    ],
    [
      'PUT /drives/c {"drive_id":"c","is_root_device":false,"path_on_host":"disk","is_read_only":true,"cache_type":"Writeback","rate_limiter":{"bandwidth":{"size":10,"refill_time":20,"anything":1},"ops":{"size":0,"refill_time":1}}}',
      204,
    ],
    [
      "GET /vm/config",
      '{"balloon":null,"drives":[{"drive_id":"b","partuuid":"x","is_root_device":true,"cache_type":"Unsafe","is_read_only":false,"path_on_host":"disk","rate_limiter":null,"io_engine":"Async","socket":null},{"drive_id":"a","partuuid":null,"is_root_device":false,"cache_type":"Unsafe","is_read_only":false,"path_on_host":"disk","rate_limiter":null,"io_engine":"Sync","socket":null},{"drive_id":"c","partuuid":null,"is_root_device":false,"cache_type":"Writeback","is_read_only":true,"path_on_host":"disk","rate_limiter":{"bandwidth":{"size":10,"one_time_burst":null,"refill_time":20},"ops":null},"io_engine":"Sync","socket":null}],"boot-source":{"kernel_image_path":"","initrd_path":null,"boot_args":null},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":null,"network-interfaces":[],"vsock":null,"entropy":null,"pmem":[],"memory-hotplug":null}',
    ],
  ],
  "network interfaces and the metadata on them": [
    ["PUT /network-interfaces {}", "The ID cannot be empty."],
    ["PUT /network-interfaces/a-b {}", "API Resource IDs can only contain alphanumeric characters and underscores."],
    [
      "PUT /network-interfaces/a {}",
      "An error occurred when deserializing the json body of a request: missing field `iface_id` at line 1 column 2.",
    ],
    [
      'PUT /network-interfaces/a {"iface_id":"b","host_dev_name":"x"}',
      "The id from the path [a] does not match the id from the body [b]!",
    ],
    [
      'PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"wfdouble0","guest_mac":"zz"}',
      "An error occurred when deserializing the json body of a request: The provided MAC address is invalid. at line 1 column 61.",
    ],
    [
      'PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"wfdouble0","mtu":67}',
      "An error occurred when deserializing the json body of a request: unknown field `mtu`, expected one of `iface_id`, `host_dev_name`, `guest_mac`, `rx_rate_limiter`, `tx_rate_limiter` at line 1 column 49.",
    ],
    [
      'PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"averyveryverylongname"}',
      "Network config error: Could not create the network device: Open tap device failed: Invalid interface name",
    ],
    ['PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"wfdouble0","guest_mac":"06:00:00:00:00:0A"}', 204],
    [
      'PUT /network-interfaces/b {"iface_id":"b","host_dev_name":"wfdouble0"}',
      "Network config error: Could not create the network device: Open tap device failed: Error while creating ifreq structure: Resource busy (os error 16). Invalid TUN/TAP Backend provided by wfdouble0. Check our documentation on setting up the network devices.",
    ],
    [
      'PUT /network-interfaces/b {"iface_id":"b","host_dev_name":"wfdouble1","guest_mac":"06:00:00:00:00:0a"}',
      "Network config error: The MAC address is already in use: 06:00:00:00:00:0a",
    ],
    ['PUT /network-interfaces/b {"iface_id":"b","host_dev_name":"wfdouble1"}', 204],
    [
      "PUT /mmds/config {}",
      "An error occurred when deserializing the json body of a request: missing field `network_interfaces` at line 1 column 2.",
    ],
    [
      'PUT /mmds/config {"network_interfaces":[]}',
      "MMMDS config error: The list of network interface IDs that allow forwarding MMDS requests is empty.",
      "deprecated",
    ],
    [
      'PUT /mmds/config {"network_interfaces":["q"]}',
      "MMMDS config error: The list of network interface IDs provided contains at least one ID that does not correspond to any existing network interface.",
      "deprecated",
    ],
    [
      'PUT /mmds/config {"network_interfaces":["a"],"version":"V2","ipv4_address":"x"}',
      "An error occurred when deserializing the json body of a request: invalid IPv4 address syntax at line 1 column 61.",
    ],
    [
      'PUT /mmds/config {"network_interfaces":["a"],"version":"V2","ipv4_address":"1.2.3.4"}',
      "MMMDS config error: The MMDS IPv4 address is not link local.",
    ],
    ['PUT /mmds/config {"network_interfaces":["a"]}', 204, "deprecated"],
    ['PUT /mmds/config {"network_interfaces":["b","a"],"version":"V2"}', 204],
    [
      "GET /vm/config",
      '{"balloon":null,"drives":[],"boot-source":{"kernel_image_path":"","initrd_path":null,"boot_args":null},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":{"version":"V2","network_interfaces":["a","b"],"ipv4_address":"169.254.169.254","imds_compat":false},"network-interfaces":[{"iface_id":"a","host_dev_name":"wfdouble0","guest_mac":"06:00:00:00:00:0a","rx_rate_limiter":null,"tx_rate_limiter":null},{"iface_id":"b","host_dev_name":"wfdouble1","guest_mac":null,"rx_rate_limiter":null,"tx_rate_limiter":null}],"vsock":null,"entropy":null,"pmem":[],"memory-hotplug":null}',
    ],
  ],
  metadata: [
    ['PATCH /mmds {"a":1}', "MMDS error: The MMDS data store is not initialized."],
    [
      "PUT /mmds x",
      "An error occurred when deserializing the json body of a request: expected value at line 1 column 1.",
    ],
    ['PUT /mmds {"b":1,"a":{"c":[1,2.5,"x",null,true]}}', 204],
    ["GET /mmds", '{"a":{"c":[1,2.5,"x",null,true]},"b":1}'],
    ['PATCH /mmds {"a":{"c":null,"d":1},"e":{"f":null}}', 204],
    ["GET /mmds", '{"a":{"d":1},"b":1,"e":{}}'],
    [`PUT /mmds {"a":"${"x".repeat(51100)}"}`, 204],
    [
      'PATCH /mmds {"b":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
      "MMDS limit exceeded error: The MMDS patch request doesn't fit.",
      413,
    ],
  ],
  vsock: [
    [
      "PUT /vsock {}",
      "An error occurred when deserializing the json body of a request: missing field `guest_cid` at line 1 column 2.",
    ],
    [
      'PUT /vsock {"guest_cid":3,"uds_path":"disk"}',
      "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: Address in use (os error 98)",
    ],
    [
      'PUT /vsock {"guest_cid":3,"uds_path":"no/such"}',
      "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: No such file or directory (os error 2)",
    ],
    [
      'PUT /vsock {"guest_cid":3,"uds_path":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
      "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: path must be shorter than SUN_LEN",
    ],
    ['PUT /vsock {"guest_cid":2,"uds_path":"v1"}', 204],
    ['PUT /vsock {"guest_cid":3,"uds_path":"v2","vsock_id":"a"}', 204, "deprecated"],
    ['PUT /vsock {"guest_cid":5,"uds_path":"v2"}', 204],
    [
      "GET /vm/config",
      '{"balloon":null,"drives":[],"boot-source":{"kernel_image_path":"","initrd_path":null,"boot_args":null},"cpu-config":null,"logger":null,"machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,"huge_pages":"None"},"metrics":null,"mmds-config":null,"network-interfaces":[],"vsock":{"guest_cid":5,"uds_path":"v2"},"entropy":null,"pmem":[],"memory-hotplug":null}',
    ],
  ],
  "the balloon": [
    [
      "PUT /balloon {}",
      "An error occurred when deserializing the json body of a request: missing field `amount_mib` at line 1 column 2.",
    ],
    [
      'PUT /balloon {"amount_mib":1,"deflate_on_oom":true,"foo":1}',
      "An error occurred when deserializing the json body of a request: unknown field `foo`, expected one of `amount_mib`, `deflate_on_oom`, `stats_polling_interval_s`, `free_page_hinting`, `free_page_reporting` at line 1 column 43.",
    ],
    [
      'PUT /balloon {"amount_mib":1000,"deflate_on_oom":true}',
      "Balloon config error: Amount of pages requested is too large.",
    ],
    ['PUT /balloon {"amount_mib":10,"free_page_reporting":true,"deflate_on_oom":true}', 204],
    [
      "GET /balloon",
      '{"amount_mib":10,"deflate_on_oom":true,"stats_polling_interval_s":0,"free_page_hinting":false,"free_page_reporting":true}',
    ],
    [
      'PUT /machine-config {"vcpu_count":1,"mem_size_mib":5}',
      "Machine config error: The memory size (MiB) is smaller than the previously set balloon device target size.",
    ],
  ],
  "logger and metrics": [
    ["PUT /logger {}", 204],
    [
      'PUT /logger {"log_path":"no/such"}',
      "Logger error: Failed to open target file: No such file or directory (os error 2)",
    ],
    [
      "PUT /metrics {}",
      "An error occurred when deserializing the json body of a request: missing field `metrics_path` at line 1 column 2.",
    ],
    [
      'PUT /metrics {"metrics_path":"no/such"}',
      "Metrics error: Cannot initialize the metrics system due to bad user input: No such file or directory (os error 2)",
    ],
    ['PUT /metrics {"metrics_path":"metrics","foo":1}', 204],
    [
      'PUT /metrics {"metrics_path":"metrics2"}',
      "Metrics error: Cannot initialize the metrics system due to bad user input: Reinitialization of metrics not allowed.",
    ],
    ['PUT /logger {"log_path":"log","level":"Info"}', 204],
  ],
  "a snapshot after a request that belongs to a boot, though it failed": [
    [
      "PUT /snapshot/load {}",
      "An error occurred when deserializing the json body of a request: missing field `snapshot_path` at line 1 column 2.",
    ],
    [
      'PUT /snapshot/load {"snapshot_path":"a"}',
      "An error occurred when deserializing the json body of a request: missing field: either `mem_backend` or `mem_file_path` is required.",
    ],
    [
      'PUT /snapshot/load {"snapshot_path":"a","mem_file_path":"b","mem_backend":{"backend_type":"File","backend_path":"x"}}',
      "An error occurred when deserializing the json body of a request: too many fields: either `mem_backend` or `mem_file_path` exclusively is required.",
    ],
    [
      'PUT /machine-config {"vcpu_count":0,"mem_size_mib":1}',
      "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.",
    ],
    [
      'PUT /snapshot/load {"snapshot_path":"a","mem_file_path":"b"}',
      "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.",
      "deprecated",
    ],
    [
      'PUT /snapshot/load {"snapshot_path":"a","mem_backend":{"backend_type":"File","backend_path":"x"}}',
      "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.",
    ],
  ],
};
