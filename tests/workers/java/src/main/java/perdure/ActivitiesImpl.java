package perdure;

import io.temporal.activity.Activity;
import io.temporal.activity.ActivityExecutionContext;
import io.temporal.failure.ApplicationFailure;
import java.util.Map;

public final class ActivitiesImpl implements Activities {
  @Override
  public String greet(String name) {
    return "Hello " + name + "!";
  }

  @Override
  public int flaky(int failures) {
    int attempt = Activity.getExecutionContext().getInfo().getAttempt();
    if (attempt <= failures) {
      throw ApplicationFailure.newFailure("attempt " + attempt + " fails", "Flaky");
    }
    return attempt;
  }

  @Override
  public Map<String, Integer> beat(int beats) {
    ActivityExecutionContext context = Activity.getExecutionContext();
    int done = context.getHeartbeatDetails(Integer.class).orElse(0);
    int resumed = done;
    while (done < beats) {
      done++;
      context.heartbeat(done);
      if (context.getInfo().getAttempt() == 1 && done == beats / 2) {
        throw ApplicationFailure.newFailure("the first attempt fails half way", "Half");
      }
    }
    return Map.of("total", done, "resumed", resumed);
  }

  @Override
  public int number(int number) {
    return number;
  }

  @Override
  public void cleanUp() {}
}
