package perdure;

import io.temporal.activity.ActivityOptions;
import io.temporal.activity.LocalActivityOptions;
import io.temporal.common.RetryOptions;
import io.temporal.common.SearchAttributeKey;
import io.temporal.failure.ApplicationFailure;
import io.temporal.failure.CanceledFailure;
import io.temporal.failure.ChildWorkflowFailure;
import io.temporal.workflow.Async;
import io.temporal.workflow.Promise;
import io.temporal.workflow.QueryMethod;
import io.temporal.workflow.SignalMethod;
import io.temporal.workflow.UpdateMethod;
import io.temporal.workflow.UpdateValidatorMethod;
import io.temporal.workflow.Workflow;
import io.temporal.workflow.WorkflowInterface;
import io.temporal.workflow.WorkflowMethod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** One workflow a feature; a type's name is its interface's. */
public final class Workflows {
  static final Class<?>[] ALL = {
    GreetingImpl.class,
    ConversationImpl.class,
    SleeperImpl.class,
    RetryingImpl.class,
    BeatingImpl.class,
    LocalImpl.class,
    ManyImpl.class,
    ParentImpl.class,
    FailingImpl.class,
    AgainImpl.class,
    CancelledImpl.class,
    VersionedImpl.class,
    WaitingImpl.class,
  };

  private Workflows() {}

  private static ActivityOptions.Builder options() {
    return ActivityOptions.newBuilder().setStartToCloseTimeout(Duration.ofSeconds(10));
  }

  private static Activities activities() {
    return Workflow.newActivityStub(Activities.class, options().build());
  }

  private static RetryOptions quickly() {
    return RetryOptions.newBuilder().setInitialInterval(Duration.ofMillis(10)).build();
  }

  @WorkflowInterface
  public interface Greeting {
    @WorkflowMethod
    String run(String name);
  }

  public static final class GreetingImpl implements Greeting {
    @Override
    public String run(String name) {
      return activities().greet(name);
    }
  }

  @WorkflowInterface
  public interface Conversation {
    @WorkflowMethod
    Map<String, Object> run();

    @SignalMethod
    void say(String text);

    @SignalMethod
    void finish();

    @QueryMethod
    List<String> said();

    @UpdateMethod
    String rename(String name);

    @UpdateValidatorMethod(updateName = "rename")
    void checkName(String name);
  }

  public static final class ConversationImpl implements Conversation {
    private final List<String> said = new ArrayList<>();
    private String name = "nobody";
    private boolean finished;

    @Override
    public Map<String, Object> run() {
      Workflow.await(() -> finished);
      return Map.of("said", said, "name", name);
    }

    @Override
    public void say(String text) {
      said.add(text);
    }

    @Override
    public void finish() {
      finished = true;
    }

    @Override
    public List<String> said() {
      return said;
    }

    @Override
    public String rename(String name) {
      String before = this.name;
      this.name = name;
      return before;
    }

    @Override
    public void checkName(String name) {
      if (name.isEmpty()) {
        throw new IllegalArgumentException("a name has to have letters");
      }
    }
  }

  @WorkflowInterface
  public interface Sleeper {
    @WorkflowMethod
    String run(double seconds);
  }

  public static final class SleeperImpl implements Sleeper {
    @Override
    public String run(double seconds) {
      Workflow.sleep(Duration.ofMillis(Math.round(seconds * 1000)));
      return "slept";
    }
  }

  @WorkflowInterface
  public interface Retrying {
    @WorkflowMethod
    int run(int failures);
  }

  public static final class RetryingImpl implements Retrying {
    @Override
    public int run(int failures) {
      ActivityOptions retried = options().setRetryOptions(quickly()).build();
      return Workflow.newActivityStub(Activities.class, retried).flaky(failures);
    }
  }

  @WorkflowInterface
  public interface Beating {
    @WorkflowMethod
    Map<String, Integer> run(int beats);
  }

  public static final class BeatingImpl implements Beating {
    @Override
    public Map<String, Integer> run(int beats) {
      ActivityOptions retried =
          options()
              .setHeartbeatTimeout(Duration.ofSeconds(10))
              .setRetryOptions(quickly())
              .build();
      return Workflow.newActivityStub(Activities.class, retried).beat(beats);
    }
  }

  @WorkflowInterface
  public interface Local {
    @WorkflowMethod
    String run(String name);
  }

  public static final class LocalImpl implements Local {
    @Override
    public String run(String name) {
      Activities local =
          Workflow.newLocalActivityStub(
              Activities.class,
              LocalActivityOptions.newBuilder()
                  .setStartToCloseTimeout(Duration.ofSeconds(10))
                  .build());
      return local.greet(name);
    }
  }

  @WorkflowInterface
  public interface Many {
    @WorkflowMethod
    int run(int n);
  }

  public static final class ManyImpl implements Many {
    @Override
    public int run(int n) {
      Activities activities = activities();
      List<Promise<Integer>> numbers = new ArrayList<>();
      for (int i = 0; i < n; i++) {
        numbers.add(Async.function(activities::number, i));
      }
      Promise.allOf(numbers).get();
      return numbers.stream().mapToInt(Promise::get).sum();
    }
  }

  @WorkflowInterface
  public interface Parent {
    @WorkflowMethod
    List<String> run(String name);
  }

  public static final class ParentImpl implements Parent {
    @Override
    public List<String> run(String name) {
      String greeting = Workflow.newChildWorkflowStub(Greeting.class).run(name);
      try {
        Workflow.newChildWorkflowStub(Failing.class).run();
      } catch (ChildWorkflowFailure failure) {
        return List.of(greeting, "caught");
      }
      return List.of(greeting, "completed");
    }
  }

  @WorkflowInterface
  public interface Failing {
    @WorkflowMethod
    void run();
  }

  public static final class FailingImpl implements Failing {
    @Override
    public void run() {
      throw ApplicationFailure.newFailure("broken", "Broken");
    }
  }

  @WorkflowInterface
  public interface Again {
    @WorkflowMethod
    String run(int n);
  }

  public static final class AgainImpl implements Again {
    @Override
    public String run(int n) {
      if (n > 0) {
        Workflow.newContinueAsNewStub(Again.class).run(n - 1);
      }
      return "done";
    }
  }

  @WorkflowInterface
  public interface Cancelled {
    @WorkflowMethod
    void run();
  }

  public static final class CancelledImpl implements Cancelled {
    @Override
    public void run() {
      try {
        Workflow.sleep(Duration.ofDays(1));
      } catch (CanceledFailure cancelled) {
        Workflow.newDetachedCancellationScope(() -> activities().cleanUp()).run();
        throw cancelled;
      }
    }
  }

  @WorkflowInterface
  public interface Versioned {
    @WorkflowMethod
    String run();
  }

  public static final class VersionedImpl implements Versioned {
    @Override
    public String run() {
      int version = Workflow.getVersion("changed", Workflow.DEFAULT_VERSION, 1);
      String answer = Workflow.sideEffect(String.class, () -> version == 1 ? "yes" : "no");
      Workflow.upsertTypedSearchAttributes(
          SearchAttributeKey.forKeyword("Spoken").valueSet(answer));
      Workflow.upsertMemo(Map.of("upserted", answer));
      return "ok";
    }
  }

  @WorkflowInterface
  public interface Waiting {
    @WorkflowMethod
    String run();

    @SignalMethod
    void go();
  }

  public static final class WaitingImpl implements Waiting {
    private boolean gone;

    @Override
    public String run() {
      Workflow.await(() -> gone);
      return "went";
    }

    @Override
    public void go() {
      gone = true;
    }
  }
}
