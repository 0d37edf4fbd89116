package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// poll holds long polls on queues without tasks: one line when they wait, one when standard input ends.
func poll(o *options) {
	pollers := o.Int("pollers", 1000, "")
	queues := o.Int("queues", 200, "that they are spread over")
	settle := o.Duration("settle", 5*time.Second, "until the first line")
	o.parse()
	from := dial(*o.target, *o.connections)
	from.connect()
	ctx, cancel := context.WithCancel(context.Background())
	var ended atomic.Int64
	// Polls that come together may be refused at first, and come again after a second.
	var early, late refusals
	var hasSettled atomic.Bool
	for number := range *pollers {
		go func() {
			c := from.get()
			queue := &taskqueuepb.TaskQueue{Name: fmt.Sprintf("idle-%d", number%*queues)}
			for ctx.Err() == nil {
				call, stop := context.WithTimeout(ctx, pollTimeout)
				_, err := c.PollWorkflowTaskQueue(call, &workflowservice.PollWorkflowTaskQueueRequest{
					Namespace: namespace, TaskQueue: queue, Identity: fmt.Sprintf("%s-%d", identity, number),
				})
				stop()
				if err == nil {
					ended.Add(1)
				} else if ctx.Err() == nil {
					if hasSettled.Load() {
						late.add(err)
					} else {
						early.add(err)
					}
					time.Sleep(time.Second)
				}
			}
		}()
	}
	time.Sleep(*settle)
	hasSettled.Store(true)
	first := o.read()
	give(map[string]int{"waiting": *pollers})
	_, err := io.Copy(io.Discard, os.Stdin)
	must(err)
	used := o.read().since(first)
	cancel()
	give(struct {
		spent
		Count   int64          `json:"count"`
		Refused map[string]int `json:"refused"`
	}{used, ended.Load(), late.found()})
}

// burst sends many starts at one moment, and tells their answers.
func burst(o *options) {
	count := o.Int("count", 4000, "")
	o.parse()
	from := dial(*o.target, *o.connections)
	from.connect()
	name := uniqueName("burst")
	var mutex sync.Mutex
	answers := map[string]int{}
	var took []float64
	gate := make(chan struct{})
	var all sync.WaitGroup
	for number := range *count {
		all.Go(func() {
			c := from.get()
			<-gate
			began := time.Now()
			call, stop := context.WithTimeout(context.Background(), 2*time.Minute)
			defer stop()
			// What a retry hides is what is looked for, so nothing is tried again.
			_, err := c.StartWorkflowExecution(call, &workflowservice.StartWorkflowExecutionRequest{
				Namespace: namespace, WorkflowId: fmt.Sprintf("%s-%d", name, number), WorkflowType: workflowType(),
				TaskQueue: &taskqueuepb.TaskQueue{Name: name}, Identity: identity, RequestId: fmt.Sprintf("%s-%d", name, number),
			})
			mutex.Lock()
			defer mutex.Unlock()
			took = append(took, milliseconds(began))
			if err == nil {
				answers["OK"]++
			} else {
				answers[err.Error()]++
			}
		})
	}
	first := o.read()
	close(gate)
	all.Wait()
	used := o.read().since(first)
	sort.Float64s(took)
	give(struct {
		spent
		Count   int            `json:"count"`
		Answers map[string]int `json:"answers"`
		P50Ms   float64        `json:"p50_ms"`
		MaxMs   float64        `json:"max_ms"`
	}{used, *count, answers, percentile(took, .5), percentile(took, 1)})
}
