package perdure;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A gRPC client that tries a server's transport: see ../README.md. */
public final class Client {
  private static final String SERVICE = "perdure.test.Echo/";
  private static final String REFUSAL = "no: grüß dich, 100 %";
  private static final long PATIENCE_S = 60;
  /** A message of 4 MiB as Temporal counts, and a few bytes to spare. */
  private static final int LARGE = (4 << 20) - 100;

  private static final CallOptions DEFAULT = CallOptions.DEFAULT;

  private interface Trial {
    void run() throws Exception;
  }

  private static final MethodDescriptor.Marshaller<byte[]> RAW =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
          try {
            return stream.readAllBytes();
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  private final Channel channel;

  private Client(Channel channel) {
    this.channel = channel;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] repeated(char letter, int count) {
    byte[] all = new byte[count];
    Arrays.fill(all, (byte) letter);
    return all;
  }

  private static int number(String name) {
    return Integer.parseInt(System.getenv(name));
  }

  private static void check(boolean holds, String words) {
    if (!holds) {
      throw new IllegalStateException(words);
    }
  }

  private Future<byte[]> call(Channel by, String method, byte[] request, CallOptions options) {
    MethodDescriptor<byte[], byte[]> descriptor =
        MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName(SERVICE + method)
            .setRequestMarshaller(RAW)
            .setResponseMarshaller(RAW)
            .build();
    CallOptions bounded =
        options.getDeadline() == null
            ? options.withDeadlineAfter(PATIENCE_S, TimeUnit.SECONDS)
            : options;
    return ClientCalls.futureUnaryCall(by.newCall(descriptor, bounded), request);
  }

  private Future<byte[]> begin(String method, byte[] request) {
    return call(channel, method, request, DEFAULT);
  }

  private byte[] ask(String method, byte[] request) throws Exception {
    return begin(method, request).get();
  }

  private static void expect(Future<byte[]> answer, byte[] wanted) throws Exception {
    byte[] got = answer.get();
    check(
        Arrays.equals(got, wanted),
        got.length + " bytes came, not the " + wanted.length + " that were wanted");
  }

  private static Status status(Future<byte[]> answer) throws Exception {
    try {
      answer.get();
      return Status.OK;
    } catch (java.util.concurrent.CancellationException error) {
      return Status.CANCELLED;
    } catch (ExecutionException error) {
      return ((StatusRuntimeException) error.getCause()).getStatus();
    }
  }

  private void basics() throws Exception {
    for (String size : System.getenv("SIZES").split(" ")) {
      byte[] message = repeated('m', Integer.parseInt(size));
      expect(begin("Echo", message), message);
    }
    Metadata metadata = new Metadata();
    metadata.put(Metadata.Key.of("some-header", Metadata.ASCII_STRING_MARSHALLER), "its value");
    Channel with =
        ClientInterceptors.intercept(
            channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
    expect(call(with, "Header", bytes("some-header"), DEFAULT), bytes("its value"));
  }

  private void refused() throws Exception {
    Status status = status(begin("Refuse", bytes("")));
    check(
        status.getCode() == Status.Code.FAILED_PRECONDITION
            && REFUSAL.equals(status.getDescription()),
        "refused with " + status);
    Status unknown = status(begin("Missing", bytes("")));
    check(unknown.getCode() == Status.Code.UNIMPLEMENTED, "an unknown method: " + unknown);
  }

  private void gzipped() throws Exception {
    byte[] message = bytes("compress me ".repeat(50_000));
    expect(call(channel, "Echo", message, DEFAULT.withCompression("gzip")), message);
  }

  private void largest() throws Exception {
    byte[] message = repeated('l', LARGE);
    expect(begin("Echo", message), message);
  }

  private List<Future<byte[]>> atOnce(String method, int count) {
    List<Future<byte[]>> calls = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      calls.add(begin(method, bytes(Integer.toString(i))));
    }
    return calls;
  }

  private static void expectAll(List<Future<byte[]>> calls) throws Exception {
    for (int i = 0; i < calls.size(); i++) {
      expect(calls.get(i), bytes(Integer.toString(i)));
    }
  }

  private void burst() throws Exception {
    expectAll(atOnce("Later", number("BURST")));
  }

  private void polls() throws Exception {
    List<Future<byte[]>> calls = atOnce("Wait", number("POLLS"));
    untilWaiting(calls.size());
    ask("Release", bytes(""));
    expectAll(calls);
  }

  private void untilWaiting(int count) throws Exception {
    long began = System.nanoTime();
    while (System.nanoTime() - began < TimeUnit.SECONDS.toNanos(PATIENCE_S)) {
      String counts = new String(ask("Counts", bytes("")), StandardCharsets.UTF_8);
      if (counts.startsWith(count + " ")) {
        return;
      }
      Thread.sleep(20);
    }
    throw new IllegalStateException("not " + count + " calls wait");
  }

  private void cancelled() throws Exception {
    List<Future<byte[]>> calls = atOnce("Wait", 100);
    untilWaiting(100);
    for (Future<byte[]> each : calls) {
      each.cancel(true);
    }
    for (Future<byte[]> each : calls) {
      Status status = status(each);
      check(status.getCode() == Status.Code.CANCELLED, "a cancelled call: " + status);
    }
    untilWaiting(0);
  }

  private void late() throws Exception {
    CallOptions soon = DEFAULT.withDeadlineAfter(200, TimeUnit.MILLISECONDS);
    Status status = status(call(channel, "Wait", bytes(""), soon));
    check(status.getCode() == Status.Code.DEADLINE_EXCEEDED, "a call that is late: " + status);
    untilWaiting(0);
  }

  /** A call stays open while nothing but pings comes; the client gives up a connection that does not answer them. */
  private void idle() throws Exception {
    Future<byte[]> call = begin("Wait", bytes("idle"));
    try {
      call.get(number("IDLE_S"), TimeUnit.SECONDS);
      throw new IllegalStateException("it was answered early");
    } catch (TimeoutException expected) {
      ask("Release", bytes(""));
    }
    expect(call, bytes("idle"));
  }

  private static ChannelCredentials security() throws IOException {
    String ca = System.getenv("CA");
    if (ca == null) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder builder =
        TlsChannelCredentials.newBuilder().trustManager(new File(ca));
    String certificate = System.getenv("CERTIFICATE");
    if (certificate != null) {
      builder.keyManager(new File(certificate), new File(System.getenv("KEY")));
    }
    return builder.build();
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel =
        Grpc.newChannelBuilder(System.getenv("ADDRESS"), security())
            .maxInboundMessageSize(8 << 20)
            // 10 s are the least that the library takes.
            .keepAliveTime(10, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS)
            .build();
    Client client = new Client(channel);
    Map<String, Trial> trials =
        Map.of(
            "basics", client::basics,
            "refused", client::refused,
            "gzipped", client::gzipped,
            "largest", client::largest,
            "burst", client::burst,
            "polls", client::polls,
            "cancelled", client::cancelled,
            "late", client::late,
            "idle", client::idle);
    for (String name : System.getenv("TRIALS").split(" ")) {
      try {
        trials.get(name).run();
      } catch (Exception error) {
        System.out.println(name + " " + error);
        System.exit(1);
      }
      System.out.println(name + " ok");
    }
    System.exit(0);
  }
}
