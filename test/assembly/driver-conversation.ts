import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import session from '../../actors/session/behaviour.ts';
import { smRows } from '../../actors/sm/rows.ts';
import { type DriverRows, driverRows } from '../../src/assembly/driver-rows.ts';
import { readXmlRpcCall, readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeHttpServer } from '../../src/drivers/node/http-server.ts';
import { nodeNetwork } from '../../src/drivers/node/network.ts';
import type { Processes } from '../../src/drivers/processes.ts';
import { type HostStorage, hostStorage } from '../../src/drivers/storage/host-storage.ts';
import { edgeOf } from '../../src/edge/edge.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { isStruct, type Struct, type Value } from '../../src/std/value.ts';
import type { Tx } from '../../src/store/view.ts';
import { behaviours } from '../actors/storage-world.ts';
import { hostRef, type World, world } from '../world.ts';

// A driver of SMAPIv1 that says what one was recorded to say: it is called as a program is, calls back through
// the real edge on a Unix socket, and prints what was printed then.

interface Step {
  readonly step: string;
  readonly argument: string;
  readonly callbacks: readonly Callback[];
  readonly stdout: string;
}

interface Callback {
  readonly method: string;
  readonly params: readonly unknown[];
  /** Where it answered a reference, or the record of one. */
  readonly answer?: string;
  readonly failure?: readonly string[];
}

export interface Played {
  readonly command: string;
  /** As the driver got it, and as it was recorded, references and sessions alike. */
  readonly argument: string;
  readonly expected: string;
}

export interface DriverWorld extends World {
  readonly storage: HostStorage;
  readonly rows: DriverRows;
  /** Calls of the driver so far. */
  readonly played: readonly Played[];
  /** Everything that it was asked, also what was never recorded. */
  readonly asked: readonly Struct[];
  /** Answers to calls back that were not as recorded. */
  readonly differences: readonly string[];
  /** A call to the socket, as any program of the host makes it. */
  ask(method: string, ...params: readonly Value[]): Promise<Value>;
  /** The recorded call that the driver looks from on for what to say. */
  goTo(step: string): void;
  /** What happens during the next call of a driver. */
  during(command: string, then: (session: string) => Promise<void>): void;
  /** Runs at once, at most. */
  mostAtOnce(command: RegExp): number;
  remove(): Promise<void>;
}

const limits = {
  ...{ connectionsMax: 64, connectionsOfOneMax: 64, pipelinedMax: 8 },
  ...{ headMs: 15_000, bodyIdleMs: 15_000, headBytesMax: 32_768 },
};

export const driverWorld = async (driver: string): Promise<DriverWorld> => {
  const folder = await mkdtemp(join(tmpdir(), 'sm-'));
  const socketPath = join(folder, 'xapi');
  const steps: readonly Step[] = JSON.parse(await readFile(`test/reference/smapiv1/${driver}.json`, 'utf8'));
  const played: Played[] = [];
  const asked: Struct[] = [];
  const differences: string[] = [];
  const disturbed = new Map<string, (session: string) => Promise<void>>();
  const most = new Map<string, number>();
  let running: readonly string[] = [];
  let at = 0;

  const post = async (method: string, params: readonly Value[]) => {
    const { body } = await nodeNetwork.post({ socketPath }, '/', xmlCall(method, params), {
      contentType: 'text/xml',
      timeoutMs: 10_000,
      responseMax: 1 << 24,
    });
    return readXmlRpcResponse(body);
  };

  /** From recorded references to those of now. */
  const names = new Map<string, string>();
  const now = (text: string): string => {
    let said = text;
    for (const [recorded, actual] of names) said = said.replaceAll(recorded, actual);
    return said;
  };
  const callBack = async (step: string, { method, params, answer, failure }: Callback): Promise<void> => {
    const said = (JSON.parse(now(JSON.stringify(params))) as readonly unknown[]).map(pythonValue);
    const response = await post(method, said);
    const got = response.kind === 'success' ? undefined : (response as { error?: Value }).error;
    if ((got === undefined) !== (failure === undefined)) {
      differences.push(`${step} ${method}: ${JSON.stringify(got ?? 'Success')}`);
    } else if (failure !== undefined && (got as readonly Value[])[0] !== failure[0]) {
      differences.push(`${step} ${method}: ${JSON.stringify(got)} and not ${JSON.stringify(failure)}`);
    }
    if (answer === undefined || response.kind !== 'success') return;
    const { value } = response;
    const [named] = isStruct(value) ? value.keys() : [String(value)];
    if (named !== undefined) names.set(answer, named);
  };

  const play = async (argument: string): Promise<string> => {
    const request = structOf(argument);
    asked.push(request);
    const command = String(request.get('command'));
    const found = steps.findIndex((one, i) => i >= at && structOf(one.argument).get('command') === command);
    const step = steps[found];
    if (step === undefined) return notRecorded;
    // Who a driver is is asked whenever somebody looks.
    if (command !== 'sr_get_driver_info') at = found + 1;
    const recorded = structOf(step.argument);
    for (const name of ['host_ref', 'session_ref', 'sr_ref', 'sr_uuid', 'vdi_ref', 'subtask_of']) {
      const [then, today] = [recorded.get(name), request.get(name)];
      if (typeof then === 'string' && typeof today === 'string') names.set(then, today);
    }
    played.push({ command, argument, expected: now(step.argument) });
    await disturbed.get(command)?.(String(request.get('session_ref')));
    for (const callback of step.callbacks) await callBack(step.step, callback);
    return now(step.stdout);
  };

  const processes: Processes = {
    run: async (_, [argument = '']) => {
      const command = String(structOf(argument).get('command'));
      running = [...running, command];
      for (const one of [/^sr_(attach|detach|probe)$/]) {
        const count = running.filter((each) => one.test(each)).length;
        most.set(String(one), Math.max(most.get(String(one)) ?? 0, count));
      }
      try {
        return { code: 0, signal: null, stdout: await play(argument), stderr: '' };
      } finally {
        running = running.filter((_, i) => i !== running.indexOf(command));
      }
    },
    detach: async () => 0,
    endStartedWith: async () => {},
    pipe: () => {
      throw new Error('Nothing is piped');
    },
    isAlive: () => false,
    signal: () => {},
  };

  const rows = driverRows();
  const name = driver.slice(0, -2).toLowerCase();
  const drivers = join(folder, 'sm');
  await nodeDisk.makeFolder(drivers);
  await nodeDisk.replaceText(join(drivers, driver), '#!/bin/sh\n', 0o755);
  const storage = await hostStorage({
    ...{ processes, disk: nodeDisk, network: nodeNetwork, clock: nodeClock, log: silentLog },
    roots: [],
    sm: { settings: { folder: drivers, wanted: new Set([name]) }, rows },
    stateFolder: join(folder, 'state'),
  });
  const made = await world({ behaviours: [...behaviours, session], storage, rows: rowsOfThen });
  rows.serve(made);
  const edge = edgeOf({ ...made, log: silentLog, local: true });
  const serving = await nodeHttpServer.listen({ socketPath, limits }, edge);
  await smRows(made);
  return {
    ...made,
    storage,
    rows,
    played,
    asked,
    differences,
    goTo: (step) => {
      at = steps.findIndex((one) => one.step === step);
    },
    during: (command, then) => disturbed.set(command, then),
    mostAtOnce: (command) => most.get(String(command)) ?? 0,
    ask: async (method, ...params) => {
      const response = await post(method, params);
      if (response.kind === 'success') return response.value;
      throw Object.assign(new Error(method), { answer: (response as { error?: Value }).error });
    },
    remove: async () => {
      edge.stop();
      await serving.close();
      await storage.close();
      await made.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** What the recording machine was called. */
const rowsOfThen = (tx: Tx): void => {
  tx.patch('host', hostRef(0), { uuid: 'f0000000-0000-4000-8000-000000000001' });
  tx.create('VM', 'OpaqueRef:dom0' as Ref<'VM'>, {
    ...{ uuid: 'd0000000-0000-4000-8000-000000000001', is_control_domain: true, resident_on: hostRef(0) },
  });
};

const notRecorded =
  '<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>38</int></value></member>' +
  '<member><name>faultString</name><value>not recorded</value></member></struct></value></fault></methodResponse>';

const structOf = (argument: string): Struct => {
  const [request] = readXmlRpcCall(argument).params;
  if (request === undefined || !isStruct(request)) throw new Error('A driver is called with one struct');
  return request;
};

/** As Python's binding writes what a driver says. */
const pythonValue = (said: unknown): Value => {
  if (typeof said === 'number') return BigInt(said);
  if (Array.isArray(said)) return said.map(pythonValue);
  if (typeof said === 'object' && said !== null) {
    return new Map(Object.entries(said).map(([key, value]) => [key, pythonValue(value)]));
  }
  return said as Value;
};
