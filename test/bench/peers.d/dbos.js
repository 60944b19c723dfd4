// DBOS: workflows are functions of this process, each step a row that it writes.
// Steps of one workflow that do not depend on each other run at once.
'use strict';

exports.open = async (context) => {
  const { DBOS } = context.load('@dbos-inc/dbos-sdk');
  const pool = context.pool(2);
  const step = (name) => DBOS.runStep(async () => null, { name });

  const chain = DBOS.registerWorkflow(async () => {
    for (let k = 1; k <= 5; k++) await step(`t${k}`);
  }, { name: 'chain' });
  const diamond = DBOS.registerWorkflow(async () => {
    await step('a');
    await Promise.allSettled(['b', 'c', 'd'].map(step));
    await step('e');
  }, { name: 'diamond' });
  const fanout = DBOS.registerWorkflow(async (n) => {
    await Promise.allSettled(Array.from({ length: n }, (_, i) => step(`item${i}`)));
    await step('join');
  }, { name: 'fanout' });
  const timed = DBOS.registerWorkflow(async () => { context.arrived(); }, { name: 'timed' });
  DBOS.registerWorkflow(async () => null, { name: 'noop' });

  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: context.url, systemDatabasePoolSize: 32, logLevel: 'error' });
  await DBOS.launch();
  await DBOS.registerQueue('bench', { workerConcurrency: 24 });

  // Start n workflows, so many at once, and await each.
  const many = async (workflow, n, width = 100) => {
    let left = n;
    await Promise.all(Array.from({ length: width }, async () => {
      while (left-- > 0) await (await DBOS.startWorkflow(workflow)()).getResult();
    }));
  };

  return {
    version: context.version('@dbos-inc/dbos-sdk'),
    run: {
      chain: (n) => many(chain, n),
      diamond: (n) => many(diamond, n),
      async fanout(n) {
        await (await DBOS.startWorkflow(fanout)(n)).getResult();
      },
      latency: (n) => context.latencies(n, () => DBOS.startWorkflow(timed)()),
    },
    start: async () => `SELECT dbos.enqueue_workflow('noop', 'bench');`,
    done: async () => +(await pool.query('SELECT count(*) AS n FROM dbos.operation_outputs o' +
      ` JOIN dbos.workflow_status w USING (workflow_uuid) WHERE w.status = 'SUCCESS'`)).rows[0].n,
    close: () => DBOS.shutdown(),
  };
};
