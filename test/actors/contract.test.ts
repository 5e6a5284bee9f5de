// Goal: what belongs to no single class is as in the XenAPI too: the list of all messages, those that were
// withdrawn, the codes of faults, the names of alerts, and which values are never shown.
// Method: the catalog that the edge serves from and the tables beside it are compared with the reference data
// model.
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import type { AnyClass } from '../../src/model/class.ts';
import { type WireMessage, wireMessages } from '../../src/model/derive.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { alertFamilies, alertPriority, alerts, ownAlerts } from '../../src/rules/alerts.ts';
import { undescribed } from '../../src/std/fault-codes/undescribed.ts';
import { faultCodes } from '../../src/std/fault-codes.ts';
import { referenceJson } from '../reference.ts';

interface ReferenceMessage {
  readonly name: string;
  readonly params: readonly { readonly name: string; readonly secret?: boolean }[];
  readonly secret?: boolean;
  readonly result_secret?: boolean;
  readonly removed?: boolean;
}
interface Reference {
  readonly classes: readonly { readonly name: string; readonly messages: readonly ReferenceMessage[] }[];
  readonly errors: Readonly<Record<string, readonly string[]>>;
  readonly error_codes_without_datamodel_entry: readonly string[];
  readonly alerts: readonly { readonly name: string; readonly priority: number }[];
  readonly alert_families: readonly {
    readonly name_prefix: string;
    readonly suffixes: readonly string[];
    readonly priority: number;
  }[];
}

const reference = referenceJson<Reference>('datamodel.json');
const { messages, find } = catalogOf(classes, []);

const referenceMessages = (): readonly (readonly [string, ReferenceMessage])[] =>
  reference.classes.flatMap((cls) =>
    cls.messages.map((message) => [`${cls.name}.${message.name}`, message] as const),
  );

/** What of a message is kept out of logs: its arguments by name, and `=` for its result. */
const hiddenIn = (message: WireMessage): readonly string[] => [
  ...message.params.filter((param) => param.secret).map((param) => param.name),
  ...(message.secretResult ? ['='] : []),
];

test('the list of all messages is that of the XenAPI, in its order', () => {
  expect(classes).toHaveLength(73);
  expect(messages.map((message) => message.method)).toEqual(referenceMessages().map(([name]) => name));
});

test('the messages that answer MESSAGE_REMOVED are those of the XenAPI', () => {
  const theirs = referenceMessages().filter(([, message]) => message.removed === true);
  expect(messages.filter((message) => message.removed).map((message) => message.method)).toEqual(
    theirs.map(([name]) => name),
  );
});

test('faults have the codes and parameters of the XenAPI, the undescribed codes included', () => {
  const { errors, error_codes_without_datamodel_entry: bare } = reference;
  expect(Object.keys(undescribed)).toEqual(bare);
  expect(faultCodes).toEqual({ ...errors, ...undescribed });
});

const areas = new URL('../../src/std/fault-codes/', import.meta.url);
test.each(readdirSync(areas))('%s lists its codes in alphabetical order', async (name) => {
  const area = Object.values(await import(new URL(name, areas).href)) as readonly object[];
  const codes = area.flatMap(Object.keys);
  expect(codes.length).toBeGreaterThan(0);
  expect(codes).toEqual([...codes].sort());
});

test('no code stands in two areas', async () => {
  const all = await Promise.all(readdirSync(areas).map((name) => import(new URL(name, areas).href)));
  const codes = all.flatMap((area) => Object.values(area as Record<string, object>).flatMap(Object.keys));
  expect(codes).toHaveLength(Object.keys(faultCodes).length);
});

test('alerts have the names and priorities of the XenAPI, in its order', () => {
  expect(Object.entries(alerts)).toEqual(reference.alerts.map(({ name, priority }) => [name, priority]));
  expect(alertFamilies).toEqual(
    reference.alert_families.map(({ name_prefix, ...rest }) => ({ prefix: name_prefix, ...rest })),
  );
});

test('the priority of an alert is found by its name, that of a family by the whole name of a member', () => {
  expect(Object.keys(ownAlerts).filter((name) => Object.hasOwn(alerts, name))).toEqual([]);
  expect(alertPriority('LEAKED_DOMAIN')).toBe(2);
  expect(alertPriority('VM_CRASHED')).toBe(2);
  expect(alertPriority('HOST_KERNEL_ENCOUNTERED_WARNING_SOFT_LOCKUP')).toBe(3);
  expect(alertPriority('HOST_KERNEL_ENCOUNTERED_WARNING_')).toBeUndefined();
  expect(alertPriority('toString')).toBeUndefined();
});

test('whatever the XenAPI holds to be secret is secret', () => {
  const shown = referenceMessages().flatMap(([name, message]) => {
    const hidden = hiddenIn(find(name)!);
    const secret = message.params
      .filter((param) => message.secret || param.secret)
      .map((param) => param.name);
    return [...secret, ...(message.result_secret ? ['='] : [])]
      .filter((one) => !hidden.includes(one))
      .map((one) => `${name}(${one})`);
  });
  expect(shown).toEqual([]);
});

test('passwords, keys and sessions that the XenAPI does not mark are secret as well', () => {
  const hidden = (method: string) => hiddenIn(find(method)!);
  expect(hidden('session.change_password')).toEqual(['old_pwd', 'new_pwd']);
  expect(hidden('session.login_with_password')).toContain('=');
  expect(hidden('pool.join')).toEqual(['master_password']);
  expect(hidden('secret.set_value')).toEqual(['value']);
  expect(hidden('secret.get_value')).toEqual(['=']);
  expect(hidden('VTPM.get_contents')).toEqual(['self', '=']);
  expect(hidden('host.install_server_certificate')).toEqual(['private_key']);
  expect(hidden('VM.recover')).toEqual(['session_to']);
  expect(hidden('VM.start')).toEqual([]);
});

/** Names that a secret could hide behind, in a parameter of text. */
const suspicious = /pass|pwd|secret|private|unattend|_ps$/i;
test('no parameter whose name speaks of a password or a key is left to be shown', () => {
  const open = (classes as readonly AnyClass[])
    .flatMap(wireMessages)
    .flatMap((message) =>
      message.params
        .filter((param) => !param.secret && suspicious.test(param.name))
        .map((param) => `${message.method}(${param.name})`),
    );
  expect(open).toEqual([]);
});
