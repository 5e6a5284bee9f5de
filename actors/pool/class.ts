import { defineClass } from '../../src/model/class.ts';
import { actions } from './actions.ts';
import { fields } from './fields.ts';
import { access } from './messages/access.ts';
import { availability } from './messages/availability.ts';
import { certificates } from './messages/certificates.ts';
import { directory } from './messages/directory.ts';
import { membership } from './messages/membership.ts';
import { settings } from './messages/settings.ts';
import { updates } from './messages/updates.ts';
import { since } from './since.ts';

export const pool = defineClass('pool', {
  doc: 'Hosts that share storage, networks and one database. Every host is in exactly one pool.',
  since,
  writeRole: 'pool-operator',
  takes: ['blobs'],
  fields,
  actions,
  messages: {
    ...membership,
    ...availability,
    ...directory,
    ...certificates,
    ...settings,
    ...updates,
    ...access,
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    pool: typeof pool;
  }
}
