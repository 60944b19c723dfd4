// absurd: one SQL file (from its sources), and workers that poll by its SDK.  A
// task is a function whose steps are checkpoints.
'use strict';

const fs = require('fs');
const path = require('path');

exports.open = async (context) => {
  const { Absurd } = await context.loadModule('absurd-sdk');
  const pool = context.pool(40);

  if ((await pool.query(`SELECT to_regnamespace('absurd') AS there`)).rows[0].there === null) {
    await pool.query(fs.readFileSync(path.join(context.sources, 'absurd/sql/absurd.sql'), 'utf8'));
  }
  const quiet = { log() {}, info() {}, warn() {}, error: console.error };
  const absurd = new Absurd({ db: pool, queueName: 'bench', log: quiet });
  const step = (ctx, name) => ctx.step(name, async () => 1);
  let worker;

  await absurd.createQueue('bench');
  absurd.registerTask({ name: 'chain' }, async (_, ctx) => {
    for (let k = 1; k <= 5; k++) await step(ctx, `t${k}`);
  });
  absurd.registerTask({ name: 'diamond' }, async (_, ctx) => {
    await step(ctx, 'a');
    await Promise.all(['b', 'c', 'd'].map((name) => step(ctx, name)));
    await step(ctx, 'e');
  });
  absurd.registerTask({ name: 'fanout' }, async ({ n }, ctx) => {
    await Promise.all(Array.from({ length: n }, (_, i) => step(ctx, `item${i}`)));
    await step(ctx, 'join');
  });
  absurd.registerTask({ name: 'timed' }, async () => { context.arrived(); });
  absurd.registerTask({ name: 'noop' }, async () => null);

  const work = async (pollInterval) => {
    worker = await absurd.startWorker({ concurrency: 30, batchSize: 30, claimTimeout: 300, pollInterval });
  };
  const rest = async () => {
    if (worker) await worker.close();
    worker = undefined;
  };
  // Many are spawned by one statement.
  const spawn = (name, n, params) => pool.query(
    `SELECT count(s.task_id) FROM generate_series(1, $2::integer) i, absurd.spawn_task('bench', $1, $3::jsonb || jsonb_build_object('i', i)) s`,
    [name, n, JSON.stringify(params)]);
  const finished = () => context.until(async () => (await pool.query(
    `SELECT count(*) AS n FROM absurd.t_bench WHERE state <> 'completed'`)).rows[0].n === '0', 50);
  const flow = async (name, n, params = {}) => {
    await spawn(name, n, params);
    await finished();
  };

  await work(0.25);
  return {
    version: context.version('absurd-sdk'),
    async prepare(workload, n) {
      await rest();
      // It polls four times a second, unless it is told to be quick.
      if (workload === 'worker') await spawn('noop', n, {});
      else await work(workload === 'latency' ? 0.01 : 0.25);
    },
    run: {
      chain: (n) => flow('chain', n),
      diamond: (n) => flow('diamond', n),
      fanout: (n) => flow('fanout', 1, { n }),
      worker: (n) => context.twoWorkers(n, async () => {
        const tasks = await absurd.claimTasks({ batchSize: 100, claimTimeout: 300 });
        await Promise.all(tasks.map((task) => pool.query(
          'SELECT absurd.complete_run($1, $2, $3)', ['bench', task.run_id, '{"done":true}'])));
        return tasks.length;
      }),
      latency: (n) => context.latencies(n, () => absurd.spawn('timed', {}), 10),
    },
    start: async () => `SELECT count(*) FROM absurd.spawn_task('bench', 'noop', '{}');`,
    done: async (workload) => +(await pool.query(workload === 'worker'
      ? `SELECT count(*) AS n FROM absurd.t_bench WHERE state = 'completed'`
      : `SELECT count(*) AS n FROM absurd.c_bench c JOIN absurd.t_bench t USING (task_id) WHERE t.state = 'completed'`)).rows[0].n,
    async close() {
      await rest();
      await pool.end();
    },
  };
};
