import { activityInfo, ApplicationFailure, heartbeat } from '@temporalio/activity';

export async function greet(name: string): Promise<string> {
  return `Hello ${name}!`;
}

/** Fails so many times; returns the attempt that did not. */
export async function flaky(failures: number): Promise<number> {
  const { attempt } = activityInfo();
  if (attempt <= failures) {
    throw ApplicationFailure.create({ type: 'Flaky', message: `attempt ${attempt} fails` });
  }
  return attempt;
}

/** Beats so many times; the first attempt fails after half of them, the next goes on from there. */
export async function beat(beats: number): Promise<{ total: number; resumed: number }> {
  const { attempt, heartbeatDetails } = activityInfo();
  const resumed: number = heartbeatDetails ?? 0;
  let total = resumed;
  while (total < beats) {
    total += 1;
    heartbeat(total);
    if (attempt === 1 && total === Math.floor(beats / 2)) {
      throw ApplicationFailure.create({ type: 'Half', message: 'the first attempt fails half way' });
    }
  }
  return { total, resumed };
}

export async function number(number: number): Promise<number> {
  return number;
}

export async function clean_up(): Promise<void> {}
