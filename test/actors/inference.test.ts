// Goal: a class whose fields and messages are spread over files keeps the types of every one of them.
// Method: types are compared with expectTypeOf, so a mistake fails the type check and not only this run.
import { expectTypeOf, test } from 'vitest';
import type { host } from '../../actors/host/class.ts';
import type { PIF } from '../../actors/pif/class.ts';
import type { pool } from '../../actors/pool/class.ts';
import type { ArgsOf, Method, RecordNamed, RecordOf, ResultOf } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';

test('fields have the types that their declarations say', () => {
  expectTypeOf<RecordOf<typeof pool>['master']>().toEqualTypeOf<Ref<'host'>>();
  expectTypeOf<RecordNamed<'pool'>['ha_host_failures_to_tolerate']>().toEqualTypeOf<bigint>();
  expectTypeOf<RecordOf<typeof host>['ntp_mode']>().toEqualTypeOf<
    'DHCP' | 'Custom' | 'Factory' | 'Disabled'
  >();
  expectTypeOf<RecordNamed<'network'>['assigned_ips']>().toEqualTypeOf<ReadonlyMap<Ref<'VIF'>, string>>();
});

test('messages have the arguments and results that their declarations say', () => {
  type Messages = (typeof pool)['messages'];
  expectTypeOf<ArgsOf<Messages['eject']>>().toEqualTypeOf<{ readonly host: Ref<'host'> }>();
  expectTypeOf<ResultOf<Messages['create_VLAN']>>().toEqualTypeOf<readonly Ref<'PIF'>[]>();
  expectTypeOf<ResultOf<Messages['eject']>>().toEqualTypeOf<void>();
  expectTypeOf<ArgsOf<(typeof PIF)['messages']['db_introduce']>['VLAN']>().toEqualTypeOf<bigint>();
});

test('messages can be called by their wire names and by no others', () => {
  expectTypeOf<'pool.eject' | 'host.evacuate' | 'event.from'>().toExtend<Method>();
  expectTypeOf<'host.eject'>().not.toExtend<Method>();
});
