// graphile-worker: jobs without dependencies.  A body adds the next job itself,
// and joins are counted in the memory of this process, which is the fastest there
// is and lost by a crash.
'use strict';

exports.open = async (context) => {
  const { run, makeWorkerUtils, Logger } = context.load('graphile-worker');
  const pgPool = context.pool(30);
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ pgPool, logger });
  const joins = new Map();
  let bodies = 0;
  let runner;

  await utils.migrate();

  const taskList = {
    chain: async ({ step }, { addJob }) => {
      bodies++;
      if (step < 5) await addJob('chain', { step: step + 1 });
    },
    first: async ({ run: id }, { addJobs }) => {
      bodies++;
      joins.set(id, 3);
      await addJobs([1, 2, 3].map(() => ({ identifier: 'middle', payload: { run: id } })));
    },
    middle: async ({ run: id }, { addJob }) => {
      bodies++;
      const left = joins.get(id) - 1;
      joins.set(id, left);
      if (left === 0) await addJob('last', { run: id });
    },
    last: async () => { bodies++; },
    noop: async () => { bodies++; },
    timed: async () => { context.arrived(); },
  };

  // The settings of "Batching" in its documentation of performance.
  const work = async (size) => {
    runner = await run({
      pgPool, logger, taskList, noHandleSignals: true,
      preset: { worker: { concurrentJobs: 24, localQueue: { size }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    });
  };
  const rest = async () => {
    if (runner) await runner.stop();
    runner = undefined;
  };
  const add = (identifier, n, payload) =>
    utils.addJobs(Array.from({ length: n }, (_, i) => ({ identifier, payload: payload(i) })));
  const finished = (target) => context.until(async () => bodies >= target &&
    (await pgPool.query('SELECT count(*) AS n FROM graphile_worker._private_jobs')).rows[0].n === '0');

  await work(500);
  return {
    version: context.version('graphile-worker'),
    async prepare(workload, n) {
      await rest();
      if (workload === 'worker') await add('noop', n, () => ({}));
      // Where bodies add jobs, the local queue would keep those waiting.
      else await work(/latency|chain|diamond/.test(workload) ? -1 : 500);
    },
    run: {
      async chain(n) {
        const target = bodies + 5 * n;
        await add('chain', n, () => ({ step: 1 }));
        await finished(target);
      },
      async diamond(n) {
        const target = bodies + 5 * n;
        await add('first', n, (i) => ({ run: i }));
        await finished(target);
      },
      async fanout(n) {
        const target = bodies + n + 1;
        joins.set('fanout', n);
        await add('middle', n, () => ({ run: 'fanout' }));
        await finished(target);
      },
      async worker(n) {
        const target = bodies + n;
        await work(100);
        await finished(target);
      },
      latency: (n) => context.latencies(n, () => utils.addJob('timed', {})),
    },
    start: async () => `SELECT graphile_worker.add_job('noop', json_build_object('n', 1));`,
    done: async () => bodies,
    async close() {
      await rest();
      await pgPool.end();
    },
  };
};
