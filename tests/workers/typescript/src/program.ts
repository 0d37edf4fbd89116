/** One worker with the SDK's default options: `ADDRESS NAMESPACE TASK_QUEUE [MAX_CACHED]`, until SIGTERM. */
import { join } from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import * as activities from './activities';

async function main(): Promise<void> {
  const [address, namespace, taskQueue, maxCached] = process.argv.slice(2);
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    activities,
    workflowBundle: { codePath: join(__dirname, 'workflow-bundle.js') },
    ...(maxCached === undefined ? {} : { maxCachedWorkflows: Number(maxCached) }),
  });
  // The SDK itself shuts the worker down when SIGTERM comes.
  const running = worker.run();
  console.log('ready');
  await running;
  await connection.close();
  console.log('stopped');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
