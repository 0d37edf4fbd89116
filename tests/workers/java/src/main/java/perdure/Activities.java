package perdure;

import io.temporal.activity.ActivityInterface;
import io.temporal.activity.ActivityMethod;
import java.util.Map;

@ActivityInterface
public interface Activities {
  @ActivityMethod(name = "greet")
  String greet(String name);

  /** Fails so many times; returns the attempt that did not. */
  @ActivityMethod(name = "flaky")
  int flaky(int failures);

  /** Beats so many times; the first attempt fails after half of them, the next goes on from there. */
  @ActivityMethod(name = "beat")
  Map<String, Integer> beat(int beats);

  @ActivityMethod(name = "number")
  int number(int number);

  @ActivityMethod(name = "clean_up")
  void cleanUp();
}
