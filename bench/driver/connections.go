package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	taskqueuepb "go.temporal.io/api/taskqueue/v1"
)

const (
	namespace = "default"
	identity  = "driver"
	// A long poll needs a deadline; servers answer it after a minute.
	pollTimeout     = 70 * time.Second
	messageBytesMax = 64 << 20
)

type client = workflowservice.WorkflowServiceClient

// Connections that take turns.
type connections struct {
	clients []client
	next    atomic.Uint64
}

func dial(target string, count int) *connections {
	c := &connections{}
	for range count {
		connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax), grpc.MaxCallSendMsgSize(messageBytesMax)))
		must(err)
		c.clients = append(c.clients, workflowservice.NewWorkflowServiceClient(connection))
	}
	return c
}

func (c *connections) get() client {
	return c.clients[c.next.Add(1)%uint64(len(c.clients))]
}

// connect makes every connection before the first measured call.
func (c *connections) connect() {
	for _, each := range c.clients {
		describeNamespace(context.Background(), each)
	}
}

func describeNamespace(ctx context.Context, c client) {
	_, err := c.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	must(err)
}

// Calls that were refused, by the words of the refusal.
type refusals struct {
	mutex sync.Mutex
	words map[string]int
}

func (r *refusals) add(err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.words == nil {
		r.words = map[string]int{}
	}
	text := err.Error()
	if r.words[text] == 0 && len(r.words) < 3 {
		note("refused: %s", text)
	}
	if len(r.words) < 20 || r.words[text] > 0 {
		r.words[text]++
	}
}

func (r *refusals) found() map[string]int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.words
}

// shouldRetry tells refusals that a client tries again from those that it does not. No SDK tries CANCELLED again; this
// client does and counts it, so that one refusal does not end a measurement.
func shouldRetry(err error, refused *refusals) bool {
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.Unavailable:
		time.Sleep(20 * time.Millisecond)
	case codes.Canceled:
		time.Sleep(100 * time.Millisecond)
	default:
		return false
	}
	refused.add(err)
	return true
}

func payloads(data []byte) *commonpb.Payloads {
	return &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: data}}}
}

// text is a JSON string of so many bytes.
func text(size int) []byte {
	return append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, max(0, size-2))...), '"')
}

func uniqueName(prefix string) string {
	return fmt.Sprintf("%s-%d", prefix, time.Now().UnixNano())
}

// startWorkflow returns the run id.
func startWorkflow(ctx context.Context, c client, id, queue string, delay time.Duration, refused *refusals) (string, error) {
	request := &workflowservice.StartWorkflowExecutionRequest{
		Namespace: namespace, WorkflowId: id, WorkflowType: &commonpb.WorkflowType{Name: "Hello"},
		TaskQueue: &taskqueuepb.TaskQueue{Name: queue}, Input: payloads([]byte(`"x"`)), Identity: identity, RequestId: id,
	}
	if delay > 0 {
		request.WorkflowStartDelay = durationpb.New(delay)
	}
	for {
		started, err := c.StartWorkflowExecution(ctx, request)
		if err == nil {
			return started.RunId, nil
		}
		if !shouldRetry(err, refused) {
			return "", err
		}
	}
}

// awaitResult waits by a long poll, as SDKs do, until the run has completed.
func awaitResult(ctx context.Context, c client, id, run string, refused *refusals) error {
	var token []byte
	for {
		call, stop := context.WithTimeout(ctx, pollTimeout)
		page, err := c.GetWorkflowExecutionHistory(call, &workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run}, WaitNewEvent: true,
			HistoryEventFilterType: enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT, NextPageToken: token,
		})
		stop()
		if err != nil {
			if shouldRetry(err, refused) {
				continue
			}
			return err
		}
		for _, event := range page.History.GetEvents() {
			if event.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED {
				return nil
			}
			return fmt.Errorf("%s ended with %s", id, event.EventType)
		}
		token = page.NextPageToken
	}
}

// share runs `each` with the numbers from 1 to count in so many loops, and returns when all have ended.
func share(count, loops int, each func(loop, number int)) {
	var number atomic.Int64
	var all sync.WaitGroup
	for loop := range loops {
		all.Go(func() {
			for {
				n := int(number.Add(1))
				if n > count {
					return
				}
				each(loop, n)
			}
		})
	}
	all.Wait()
}
