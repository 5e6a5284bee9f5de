import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, label, oneOf, ref, string } from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

export const origin = oneOf('origin', ['remote', 'bundle', 'remote_pool']);

export const Repository = defineClass('Repository', {
  doc: 'A place from which updates for the hosts are fetched.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the repository.'),
    name_label: rw(label, 'Name shown to people; it must be unique.', {
      default: '',
      certificate: true,
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      certificate: true,
      column: 'name__description',
    }),
    binary_url: ro(string, 'Address of the packages.', { default: '' }),
    source_url: ro(string, 'Address of the sources of the packages.', { default: '' }),
    update: ro(bool, 'True if it holds updates, with data about each of them.', { default: false }),
    hash: dyn(string, 'SHA-256 digest of the update data that was fetched last.', { default: '' }),
    up_to_date: dyn(bool, 'No longer kept up to date; compare what a host has with `hash` instead.', {
      default: false,
      removed: true,
    }),
    gpgkey_path: ro(string, 'File name of the key that signs the packages, on the hosts.', { default: '' }),
    origin: ro(
      origin,
      'Whether packages come from the Internet, from an uploaded bundle or from another pool.',
      { default: 'remote' },
    ),
    certificate: ro(string, 'Certificate in PEM form of the other pool, where the packages come from one.', {
      default: '',
    }),
  },
  actions,
  messages: {
    introduce: {
      doc: 'Adds a repository that is fetched over the Internet.',
      role: 'pool-operator',
      certificate: true,
      params: {
        name_label: [label, 'Name to show to people, not in use by another.'],
        name_description: [string, 'Text to show beside the name.'],
        binary_url: [string, 'Address of the packages.'],
        source_url: [string, 'Address of the sources.'],
        update: [bool, 'True if it holds updates.'],
        gpgkey_path: [string, 'File name of the key that signs the packages; empty for the usual one.', ''],
      },
      result: ref('Repository'),
      async: true,
    },
    introduce_bundle: {
      doc: 'Adds a repository that is filled by uploading a file.',
      role: 'pool-operator',
      certificate: true,
      params: {
        name_label: [label, 'Name to show to people, not in use by another.'],
        name_description: [string, 'Text to show beside the name.'],
      },
      result: ref('Repository'),
      async: true,
    },
    introduce_remote_pool: {
      doc: 'Adds a repository that is served by the coordinator of another pool.',
      role: 'pool-operator',
      certificate: true,
      params: {
        name_label: [label, 'Name to show to people, not in use by another.'],
        name_description: [string, 'Text to show beside the name.'],
        binary_url: [string, 'Address at which the other pool serves packages.'],
        certificate: [string, 'Certificate in PEM form that the other pool shows.'],
      },
      result: ref('Repository'),
      async: true,
    },
    forget: {
      doc: 'Removes a repository that the pool does not use.',
      role: 'pool-operator',
      certificate: true,
      self: 'self',
      async: true,
    },
    apply: {
      doc: 'Installs on a host what the enabled repositories hold for it.',
      role: 'pool-operator',
      certificate: true,
      params: {
        host: [ref('host'), 'Host to update.'],
      },
      async: true,
      poolInternal: true,
      hidden: true,
    },
    set_gpgkey_path: {
      doc: 'Says which key signs the packages of the repository.',
      role: 'pool-operator',
      certificate: true,
      self: 'self',
      params: {
        value: [string, 'File name of the key on the hosts.'],
      },
      async: true,
    },
    apply_livepatch: {
      doc: 'Patches running code of a host without a reboot.',
      role: 'pool-operator',
      certificate: true,
      params: {
        host: [ref('host'), 'Host to patch.'],
        component: [string, '`xen` or `kernel`.'],
        base_build_id: [string, 'Build identity of the code that is running.'],
        base_version: [string, 'Version that the patch starts from.'],
        base_release: [string, 'Release that the patch starts from.'],
        to_version: [string, 'Version that the patch leads to.'],
        to_release: [string, 'Release that the patch leads to.'],
      },
      async: true,
      poolInternal: true,
      hidden: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Repository: typeof Repository;
  }
}
