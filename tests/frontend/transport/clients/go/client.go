// A gRPC client that tries a server's transport: see ../README.md.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	service  = "/perdure.test.Echo/"
	refusal  = "no: grüß dich, 100 %"
	patience = 60 * time.Second
	// A message of 4 MiB as Temporal counts, and a few bytes to spare.
	large = 4<<20 - 100
)

// raw sends and gets messages as they are.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

var _ encoding.Codec = raw{}

type client struct{ conn *grpc.ClientConn }

func (c client) call(ctx context.Context, method string, request []byte, options ...grpc.CallOption) ([]byte, error) {
	var answer []byte
	err := c.conn.Invoke(ctx, service+method, &request, &answer, options...)
	return answer, err
}

func (c client) ask(method string, request []byte, options ...grpc.CallOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.call(ctx, method, request, options...)
}

func (c client) expect(method string, request, wanted []byte, options ...grpc.CallOption) error {
	answer, err := c.ask(method, request, options...)
	if err != nil {
		return err
	}
	if !bytes.Equal(answer, wanted) {
		return fmt.Errorf("%s: %d bytes came, not the %d that were wanted", method, len(answer), len(wanted))
	}
	return nil
}

func (c client) basics() error {
	for _, size := range strings.Fields(os.Getenv("SIZES")) {
		size, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		message := bytes.Repeat([]byte("m"), size)
		if err := c.expect("Echo", message, message); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "some-header", "its value")
	answer, err := c.call(ctx, "Header", []byte("some-header"))
	if err != nil || string(answer) != "its value" {
		return fmt.Errorf("metadata: %q, %v", answer, err)
	}
	return nil
}

func (c client) refused() error {
	_, err := c.ask("Refuse", nil)
	if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != refusal {
		return fmt.Errorf("refused with %v", err)
	}
	if _, err = c.ask("Missing", nil); status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("an unknown method: %v", err)
	}
	return nil
}

func (c client) gzipped() error {
	message := bytes.Repeat([]byte("compress me "), 50_000)
	return c.expect("Echo", message, message, grpc.UseCompressor(gzip.Name))
}

func (c client) largest() error {
	message := bytes.Repeat([]byte("l"), large)
	return c.expect("Echo", message, message)
}

// atOnce runs f count times at once, and returns the first error.
func atOnce(count int, f func(i int) error) error {
	errs := make(chan error, count)
	for i := range count {
		go func() { errs <- f(i) }()
	}
	var first error
	failed := 0
	for range count {
		if err := <-errs; err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed, the first with: %w", failed, count, first)
	}
	return nil
}

func (c client) burst() error {
	return atOnce(number("BURST"), func(i int) error {
		message := []byte(strconv.Itoa(i))
		return c.expect("Later", message, message)
	})
}

func (c client) polls() error {
	count := number("POLLS")
	answered := make(chan error, 1)
	go func() {
		answered <- atOnce(count, func(i int) error {
			message := []byte(strconv.Itoa(i))
			return c.expect("Wait", message, message)
		})
	}()
	if err := c.untilWaiting(count); err != nil {
		return err
	}
	if _, err := c.ask("Release", nil); err != nil {
		return err
	}
	return <-answered
}

// untilWaiting returns when so many calls wait in the server.
func (c client) untilWaiting(count int) error {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		answer, err := c.ask("Counts", nil)
		if err != nil {
			return err
		}
		if waiting, _, _ := strings.Cut(string(answer), " "); waiting == strconv.Itoa(count) {
			return nil
		}
	}
	return fmt.Errorf("not %d calls wait", count)
}

func (c client) cancelled() error {
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	errs := make(chan error, 100)
	for range 100 {
		calls.Go(func() {
			_, err := c.call(ctx, "Wait", nil)
			errs <- err
		})
	}
	if err := c.untilWaiting(100); err != nil {
		return err
	}
	cancel()
	calls.Wait()
	for range 100 {
		if err := <-errs; status.Code(err) != codes.Canceled {
			return fmt.Errorf("a cancelled call: %v", err)
		}
	}
	return c.untilWaiting(0)
}

func (c client) late() error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.call(ctx, "Wait", nil); status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("a call that is late: %v", err)
	}
	return c.untilWaiting(0)
}

// idle keeps a call open while nothing but keepalive pings comes: the client gives a connection up that does not answer them.
func (c client) idle() error {
	seconds := number("IDLE_S")
	answered := make(chan error, 1)
	go func() { answered <- c.expect("Wait", []byte("idle"), []byte("idle")) }()
	select {
	case err := <-answered:
		return fmt.Errorf("it ended early: %v", err)
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	if _, err := c.ask("Release", nil); err != nil {
		return err
	}
	return <-answered
}

func number(name string) int {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		panic(err)
	}
	return value
}

func security() credentials.TransportCredentials {
	ca := os.Getenv("CA")
	if ca == "" {
		return insecure.NewCredentials()
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		panic(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if certificate := os.Getenv("CERTIFICATE"); certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, os.Getenv("KEY"))
		if err != nil {
			panic(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config)
}

func main() {
	conn, err := grpc.NewClient(
		os.Getenv("ADDRESS"),
		grpc.WithTransportCredentials(security()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(8<<20)),
		// 10 s are the least that the library takes.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second}),
	)
	if err != nil {
		panic(err)
	}
	c := client{conn}
	trials := map[string]func() error{
		"basics": c.basics, "refused": c.refused, "gzipped": c.gzipped, "largest": c.largest, "burst": c.burst,
		"polls": c.polls, "cancelled": c.cancelled, "late": c.late, "idle": c.idle,
	}
	for _, name := range strings.Fields(os.Getenv("TRIALS")) {
		if err := trials[name](); err != nil {
			fmt.Println(name, err)
			os.Exit(1)
		}
		fmt.Println(name, "ok")
	}
}
