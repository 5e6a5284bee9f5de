import type { Ref } from '../../model/types.ts';
import { countOf, fieldsOf, flagOf, positionOf } from '../../pool/protocol.ts';
import { sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { Who } from './asking.ts';
import { copiesOf } from './copies.ts';
import { handOver } from './handing-over.ts';
import { handOverMsMax } from './promoting.ts';
import { begin, heard, lose, obey, type Primary, stateOf, type Tenure } from './tenure.ts';

/** What this host answers the others, until the returned function is called. */
export const answerOthers = (primary: Primary): (() => void) => {
  const { mesh } = primary.context;
  const served = [
    ...answerWho(primary),
    ...answerFollowers(primary),
    ...answerLeader(primary),
    mesh.serve('yield', async (_, { from }) => {
      await handOver(primary, from as Ref<'host'>);
      return {};
    }),
  ];
  return () => {
    for (const stop of served) stop();
  };
};

const whoIs = ({ context, tenure, now }: Primary): Who => ({
  epoch: context.state.current?.epoch ?? 0,
  leads: tenure?.opened === true && tenure.epoch === context.state.current?.epoch,
  leader: now.kind === 'other' ? now.host : '',
  position: context.replica.position,
});

const answerWho = (primary: Primary): readonly (() => void)[] => {
  const { mesh, state } = primary.context;
  return [
    mesh.serve('who', async () => whoIs(primary), { anyEpoch: true }),
    mesh.serve('claim', async (payload) => {
      const epoch = countOf(fieldsOf(payload)['epoch']);
      await heard(primary, epoch);
      const free = !primary.busy && primary.tenure === undefined && primary.now.kind !== 'other';
      if (!free || epoch < stateOf(primary).epoch) return { ...whoIs(primary), promises: false };
      // It is on disk before it is promised: this host does not lead any more by what it knew.
      const { complete, ...rest } = stateOf(primary);
      if (complete !== undefined) await state.save(rest);
      return { ...whoIs(primary), promises: epoch === stateOf(primary).epoch };
    }),
  ];
};

/** As the leader. */
const answerFollowers = (primary: Primary): readonly (() => void)[] => {
  const { mesh, replica } = primary.context;
  const leading = (): Tenure => {
    const { tenure } = primary;
    if (tenure?.opened === true) return tenure;
    throw new Fault('HOST_IS_SLAVE', ['']);
  };
  const copies = copiesOf(replica);
  return [
    mesh.serve('follow', async (payload, { from }) =>
      leading().followers.follow(from as Ref<'host'>, positionOf(fieldsOf(payload)['position'])),
    ),
    mesh.serve('copy', async (payload, { from }) => {
      leading();
      return { piece: copies.next(from, flagOf(fieldsOf(payload)['begin'])) };
    }),
  ];
};

/** As a follower, or one that is to be. */
const answerLeader = (primary: Primary): readonly (() => void)[] => {
  const { mesh, replica, state, clock } = primary.context;
  const assertLeader = (from: string): void => {
    const { now } = primary;
    if (now.kind === 'other' && now.host === from && now.epoch === stateOf(primary).epoch) return;
    throw new Fault('INTERNAL_ERROR', ['This host follows somebody else']);
  };
  return [
    mesh.serve('lead', async (payload, { from }) => {
      const { epoch, again } = fieldsOf(payload);
      const follows = await obey(primary, from as Ref<'host'>, countOf(epoch));
      if (follows && flagOf(again)) primary.again();
      return { follows };
    }),
    mesh.serve('apply', async (payload, { from }) => {
      assertLeader(from);
      return { position: await replica.apply(fieldsOf(payload)['batch'] as never) };
    }),
    mesh.serve('settled', async (payload, { from }) => {
      assertLeader(from);
      replica.acknowledge(countOf(fieldsOf(payload)['generation']));
      return {};
    }),
    mesh.serve('stops', async (payload, { from }) => {
      assertLeader(from);
      const { epoch, generation } = fieldsOf(payload);
      const complete = {
        host: from as Ref<'host'>,
        epoch: countOf(epoch),
        generation: countOf(generation),
      };
      await state.save({ ...stateOf(primary), complete });
      if (primary.now.kind === 'other' && primary.now.host === from) lose(primary);
      return {};
    }),
    mesh.serve('takeOver', async (payload, { from }) => {
      assertLeader(from);
      const { epoch, generation } = fieldsOf(payload);
      const { position } = replica;
      const isWhole = position.epoch === countOf(epoch) && position.generation >= countOf(generation);
      if (!isWhole || primary.busy || stateOf(primary).epoch !== epoch)
        throw new Fault('INTERNAL_ERROR', ['This host has not everything that it should lead with']);
      primary.busy = true;
      try {
        const tenure = await begin(primary, countOf(epoch) + 1);
        await Promise.race([tenure.whenOpen, sleep(clock, handOverMsMax / 2)]);
        return {};
      } finally {
        primary.busy = false;
      }
    }),
  ];
};
