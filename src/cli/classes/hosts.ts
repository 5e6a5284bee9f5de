import type { ShownClass } from './shown-class.ts';

/** The pool, its hosts, what they are made of, and who may do what. */
export const hosts: readonly ShownClass[] = [
  {
    name: 'pool',
    cls: 'pool',
    list: 'uuid name-label name-description master default-SR',
    fields: `
      uuid name-label name-description master default-SR crash-dump-SR suspend-image-SR
      supported-sr-types!call,slow other-config allowed-operations current-operations ha-enabled
      ha-configuration!text ha-statefiles!text ha-host-failures-to-tolerate ha-plan-exists-for
      ha-allow-overcommit ha-overcommitted ha-reboot-vm-on-internal-shutdown blobs!text wlb-url
      wlb-username wlb-enabled wlb-verify-cert igmp-snooping-enabled gui-config health-check-config
      vswitch-controller!hidden,fixed restrictions!text tags!comma license-state!call
      ha-cluster-stack guest-agent-config cpu_info policy-no-vendor-device live-patching-disabled
      uefi-certificates!hidden custom-uefi-certificates!hidden tls-verification-enabled
      client-certificate-auth-enabled client-certificate-auth-name repositories!whole,settable
      repository-proxy-url
      repository-proxy-username https-only!call,settable migration-compression coordinator-bias
      telemetry-frequency telemetry-next-collection!fixed last-update-sync update-sync-frequency
      update-sync-day update-sync-enabled!fixed auto-update-vm-secureboot-certificates
      recommendations ext-auth-cache-enabled ext-auth-cache-size ext-auth-cache-expiry
      license-server ssh-enabled!call ssh-enabled-timeout!call,settable ssh-expiry!call
      console-idle-timeout!call,settable ssh-auto-mode!call,settable limit-console-sessions
      vm-console-idle-timeout
    `,
  },
  {
    name: 'host',
    cls: 'host',
    list: 'uuid name-label name-description',
    fields: `
      uuid name-label name-description allowed-operations current-operations enabled display!fixed
      API-version-major API-version-minor API-version-vendor API-version-vendor-implementation
      logging suspend-image-sr-uuid:suspend_image_sr crash-dump-sr-uuid:crash_dump_sr
      software-version capabilities other-config cpu_info chipset-info hostname!fixed address!fixed
      https-only supported-bootloaders blobs!text memory-overhead memory-total:metrics.memory_total
      memory-free:metrics.memory_free memory-free-computed!call,slow host-metrics-live:metrics.live
      patches!call,set,deprecated,comma updates!comma ha-statefiles!text ha-network-peers!text
      external-auth-type external-auth-service-name external-auth-configuration edition
      license-server!fixed power-on-mode!fixed power-on-config local-cache-sr tags!comma ssl-legacy
      guest_VCPUs_params virtual-hardware-platform-versions control-domain-uuid:control_domain
      resident-vms:resident_VMs updates-requiring-reboot features iscsi_iqn multipathing
      uefi-certificates!hidden numa-affinity-policy pending-guidances!text tls-verification-enabled
      last-software-update latest-synced-updates-applied pending-guidances-recommended!text
      pending-guidances-full!text last-update-hash ssh-enabled ssh-enabled-timeout ssh-expiry
      console-idle-timeout ssh-auto-mode max-cstate secure-boot ntp-mode ntp-custom-servers!comma,whole
      timezone
    `,
  },
  {
    name: 'host-cpu',
    cls: 'host_cpu',
    list: 'uuid number vendor speed utilisation',
    fields: `
      uuid host-uuid:host number vendor speed model family modelname stepping flags
      utilisation!call,slow
    `,
  },
  {
    name: 'host-crashdump',
    cls: 'host_crashdump',
    list: 'uuid host timestamp size',
    fields: `
      uuid host-uuid:host timestamp size
    `,
  },
  {
    name: 'patch',
    cls: 'pool_patch',
    list: 'uuid name-label name-description size hosts after-apply-guidance',
    fields: `
      uuid name-label name-description size hosts!call,set,comma after-apply-guidance!comma
      update:pool_update
    `,
  },
  {
    name: 'update',
    cls: 'pool_update',
    list: 'uuid name-label name-description version installation-size hosts after-apply-guidance',
    fields: `
      uuid name-label name-description version installation-size hosts!comma
      after-apply-guidance!comma enforce-homogeneity
    `,
  },
  {
    name: 'task',
    cls: 'task',
    list: 'uuid name-label name-description status progress',
    fields: `
      uuid name-label name-description subtask_of subtasks!text resident-on status!fixed
      progress!fixed type result!fixed created finished error_info!fixed,text
      allowed_operations!text current_operations!text other-config
    `,
  },
  {
    name: 'subject',
    cls: 'subject',
    list: 'uuid subject-identifier other-config roles',
    fields: `
      uuid subject-identifier other-config roles!call,set
    `,
  },
  {
    name: 'role',
    cls: 'role',
    having: 'subroles',
    list: 'uuid name description subroles',
    fields: `
      uuid name:name_label description:name_description
    `,
  },
  {
    name: 'message',
    cls: 'message',
    fields: `
      uuid name priority class:cls obj-uuid timestamp body
    `,
  },
  {
    name: 'secret',
    cls: 'secret',
    fields: `
      uuid value
    `,
  },
  {
    name: 'pgpu',
    cls: 'PGPU',
    list: 'uuid pci-uuid vendor-name device-name gpu-group-uuid',
    fields: `
      uuid pci-uuid:PCI.uuid vendor-name:PCI.vendor_name device-name:PCI.device_name dom0-access
      is-system-display-device gpu-group-uuid:GPU_group gpu-group-name-label:GPU_group.name_label
      host-uuid:host host-name-label:host.name_label pci-id:PCI.pci_id dependencies!call,set
      other-config supported-VGPU-types!text enabled-VGPU-types!whole resident-VGPUs!text
    `,
  },
  {
    name: 'gpu-group',
    cls: 'GPU_group',
    list: 'uuid name-label name-description',
    fields: `
      uuid name-label name-description VGPU-uuids:VGPUs PGPU-uuids:PGPUs other-config
      enabled-VGPU-types!call supported-VGPU-types!call allocation-algorithm
    `,
  },
  {
    name: 'vgpu-type',
    cls: 'VGPU_type',
    list: 'uuid vendor-name model-name max-resolution max-heads',
    fields: `
      uuid vendor-name model-name framebuffer-size max-heads max-resolution!call
      supported-on-PGPUs!text enabled-on-PGPUs!text supported-on-GPU-groups!text
      enabled-on-GPU-groups!text VGPU-uuids:VGPUs!text experimental compatible-types-in-vm!text
    `,
  },
  {
    name: 'feature',
    cls: 'Feature',
    list: 'uuid name-label name-description enabled experimental version host-uuid',
    fields: `
      uuid name-label name-description enabled experimental version host-uuid:host
    `,
  },
  {
    name: 'pusb',
    cls: 'PUSB',
    list: 'uuid path product-id product-desc vendor-id vendor-desc serial version description speed',
    fields: `
      uuid usb-group-uuid:USB_group host-uuid:host host-name-label:host.name_label path vendor-id
      vendor-desc product-id product-desc serial version description speed passthrough-enabled
    `,
  },
  {
    name: 'usb-group',
    cls: 'USB_group',
    list: 'uuid name-label name-description',
    fields: `
      uuid name-label name-description VUSB-uuids:VUSBs PUSB-uuids:PUSBs other-config
    `,
  },
  {
    name: 'cluster',
    cls: 'Cluster',
    list: `
      uuid cluster-hosts cluster-token cluster-stack allowed-operations current-operations
      pool-auto-join cluster-config other-config
    `,
    fields: `
      uuid cluster-hosts cluster-token cluster-stack cluster-stack-version token-timeout
      token-timeout-coefficient pending-forget!hidden allowed-operations current-operations
      pool-auto-join cluster-config other-config is-quorate quorum live-hosts expected-hosts
    `,
  },
  {
    name: 'cluster-host',
    cls: 'Cluster_host',
    list: 'uuid cluster pif host enabled allowed-operations current-operations other-config',
    fields: `
      uuid cluster PIF host enabled joined live last-update-live allowed-operations
      current-operations other-config
    `,
  },
  {
    name: 'certificate',
    cls: 'Certificate',
    list: 'uuid type name host not-before not-after fingerprint purpose',
    fields: `
      uuid type name host not-before not-after fingerprint fingerprint_sha256 fingerprint_sha1
      purpose!text
    `,
  },
  {
    name: 'repository',
    cls: 'Repository',
    list: 'uuid name-label name-description binary-url source-url update hash up-to-date gpgkey-path origin',
    fields: `
      uuid name-label name-description binary-url source-url update hash gpgkey-path origin
      certificate!hidden
    `,
  },
  {
    name: 'hostdriver-variant',
    cls: 'Driver_variant',
    list: 'uuid driver-name name version priority host-uuid driver-uuid active selected status hw-present',
    fields: `
      uuid name version status priority active!call selected!call driver-uuid:driver
      driver-name:driver.name host-uuid:driver.host hw-present:hardware_present
    `,
  },
  {
    name: 'hostdriver',
    cls: 'Host_driver',
    list: 'uuid name host-uuid active-variant selected-variant variants variants-uuid',
    fields: `
      uuid name type description info host-uuid:host active-variant:active_variant.name
      selected-variant:selected_variant.name variants!call variants-dev-status!call
      variants-uuid!call variants-hw-present!call
    `,
  },
  {
    name: 'observer',
    cls: 'Observer',
    list: 'uuid name-label name-description host-uuids endpoints enabled',
    fields: `
      uuid host-uuids:hosts!whole,settable name-label!fixed name-description!fixed
      attributes!whole,settable endpoints!whole,settable
      components!whole,settable enabled
    `,
  },
  {
    name: 'pci',
    cls: 'PCI',
    list: 'uuid vendor-name device-name pci-id',
    fields: `
      uuid vendor-name device-name driver-name host-uuid:host host-name-label:host.name_label pci-id
      dependencies!call,set other-config
    `,
  },
  {
    name: 'caller',
    cls: 'Caller',
    list: 'uuid name-label name-description user-agent client-ip last-access groups rate-limit',
    fields: `
      uuid name-label name-description user-agent client-ip last-access groups!single rate-limit
    `,
  },
  {
    name: 'rate-limit',
    cls: 'Rate_limit',
    list: 'uuid name-label callers burst-size fill-rate',
    fields: `
      uuid name-label name-description callers burst-size fill-rate
    `,
  },
];
