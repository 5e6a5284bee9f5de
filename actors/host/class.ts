import { defineClass } from '../../src/model/class.ts';
import { actions } from './actions.ts';
import { fields } from './fields.ts';
import { access } from './messages/access.ts';
import { availability } from './messages/availability.ts';
import { certificates } from './messages/certificates.ts';
import { evacuation } from './messages/evacuation.ts';
import { extensions } from './messages/extensions.ts';
import { management } from './messages/management.ts';
import { power } from './messages/power.ts';
import { resources } from './messages/resources.ts';
import { secrets } from './messages/secrets.ts';
import { settings } from './messages/settings.ts';
import { updates } from './messages/updates.ts';
import { since } from './since.ts';

export const host = defineClass('host', {
  doc: 'A machine of the pool that runs VMs.',
  since,
  writeRole: 'pool-operator',
  takes: ['metrics', 'blobs'],
  fields,
  actions,
  messages: {
    ...power,
    ...availability,
    ...evacuation,
    ...management,
    ...extensions,
    ...certificates,
    ...settings,
    ...resources,
    ...secrets,
    ...updates,
    ...access,
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    host: typeof host;
  }
}
