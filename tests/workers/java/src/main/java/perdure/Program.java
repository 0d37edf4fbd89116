package perdure;

import io.temporal.client.WorkflowClient;
import io.temporal.client.WorkflowClientOptions;
import io.temporal.serviceclient.WorkflowServiceStubs;
import io.temporal.serviceclient.WorkflowServiceStubsOptions;
import io.temporal.worker.Worker;
import io.temporal.worker.WorkerFactory;
import io.temporal.worker.WorkerFactoryOptions;
import java.util.concurrent.TimeUnit;

/** One worker with the SDK's default options: `ADDRESS NAMESPACE TASK_QUEUE [MAX_CACHED]`, until SIGTERM. */
public final class Program {
  private Program() {}

  public static void main(String[] arguments) {
    String address = arguments[0];
    String namespace = arguments[1];
    String taskQueue = arguments[2];

    WorkflowServiceStubs service =
        WorkflowServiceStubs.newServiceStubs(
            WorkflowServiceStubsOptions.newBuilder().setTarget(address).build());
    WorkflowClient client =
        WorkflowClient.newInstance(
            service, WorkflowClientOptions.newBuilder().setNamespace(namespace).build());
    WorkerFactoryOptions.Builder options = WorkerFactoryOptions.newBuilder();
    if (arguments.length > 3) {
      options.setWorkflowCacheSize(Integer.parseInt(arguments[3]));
    }
    WorkerFactory factory = WorkerFactory.newInstance(client, options.build());
    Worker worker = factory.newWorker(taskQueue);
    worker.registerWorkflowImplementationTypes(Workflows.ALL);
    worker.registerActivitiesImplementations(new ActivitiesImpl());
    factory.start();

    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  factory.shutdown();
                  factory.awaitTermination(20, TimeUnit.SECONDS);
                  service.shutdown();
                  System.out.println("stopped");
                  System.out.flush();
                  // A JVM that ends by a signal exits with 143: this one has ended as it was asked to.
                  Runtime.getRuntime().halt(factory.isTerminated() ? 0 : 1);
                }));
    System.out.println("ready");
    System.out.flush();
  }
}
