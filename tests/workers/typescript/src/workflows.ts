/** One workflow a feature; a type's name is its function's. */
import {
  ActivityOptions,
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  executeChild,
  isCancellation,
  patched,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  sleep,
  upsertMemo,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import type * as activities from './activities';

const startToCloseTimeout = '10 seconds';
const retry: ActivityOptions['retry'] = { initialInterval: '10 milliseconds' };

const { greet, number, clean_up } = proxyActivities<typeof activities>({ startToCloseTimeout });
const { flaky } = proxyActivities<typeof activities>({ startToCloseTimeout, retry });
const { beat } = proxyActivities<typeof activities>({
  startToCloseTimeout,
  heartbeatTimeout: '10 seconds',
  retry,
});
const { greet: greetLocally } = proxyLocalActivities<typeof activities>({ startToCloseTimeout });

export async function Greeting(name: string): Promise<string> {
  return await greet(name);
}

const say = defineSignal<[string]>('say');
const finish = defineSignal('finish');
const said = defineQuery<string[]>('said');
const rename = defineUpdate<string, [string]>('rename');

export async function Conversation(): Promise<{ said: string[]; name: string }> {
  const texts: string[] = [];
  let name = 'nobody';
  let finished = false;

  setHandler(say, (text) => {
    texts.push(text);
  });
  setHandler(finish, () => {
    finished = true;
  });
  setHandler(said, () => texts);
  setHandler(
    rename,
    (wanted) => {
      const before = name;
      name = wanted;
      return before;
    },
    {
      validator: (wanted) => {
        if (!wanted) {
          throw new Error('a name has to have letters');
        }
      },
    }
  );

  await condition(() => finished);
  return { said: texts, name };
}

export async function Sleeper(seconds: number): Promise<string> {
  await sleep(seconds * 1000);
  return 'slept';
}

export async function Retrying(failures: number): Promise<number> {
  return await flaky(failures);
}

export async function Beating(beats: number): Promise<{ total: number; resumed: number }> {
  return await beat(beats);
}

export async function Local(name: string): Promise<string> {
  return await greetLocally(name);
}

export async function Many(n: number): Promise<number> {
  const numbers = await Promise.all(Array.from({ length: n }, (_, i) => number(i)));
  return numbers.reduce((sum, number) => sum + number, 0);
}

export async function Parent(name: string): Promise<string[]> {
  const greeting = await executeChild(Greeting, { args: [name] });
  try {
    await executeChild(Failing);
  } catch (failure) {
    if (failure instanceof ChildWorkflowFailure) {
      return [greeting, 'caught'];
    }
    throw failure;
  }
  return [greeting, 'completed'];
}

export async function Failing(): Promise<void> {
  throw ApplicationFailure.create({ type: 'Broken', message: 'broken' });
}

export async function Again(n: number): Promise<string> {
  if (n > 0) {
    await continueAsNew<typeof Again>(n - 1);
  }
  return 'done';
}

export async function Cancelled(): Promise<void> {
  try {
    await sleep('1 day');
  } catch (failure) {
    if (isCancellation(failure)) {
      await CancellationScope.nonCancellable(() => clean_up());
    }
    throw failure;
  }
}

/** A side effect has no function of its own in this SDK: it would be a local activity. */
export async function Versioned(): Promise<string> {
  const answer = patched('changed') ? 'yes' : 'no';
  upsertSearchAttributes({ Spoken: [answer] });
  upsertMemo({ upserted: answer });
  return 'ok';
}

const go = defineSignal('go');

export async function Waiting(): Promise<string> {
  let gone = false;
  setHandler(go, () => {
    gone = true;
  });
  await condition(() => gone);
  return 'went';
}
