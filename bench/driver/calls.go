package main

import (
	"context"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	querypb "go.temporal.io/api/query/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// calls sends signals, updates or queries to open runs, and waits for each answer. A worker takes the tasks that they make.
func calls(o *options) {
	kind := o.String("kind", "signal", "signal, update or query")
	runs := o.Int("runs", 1, "open runs that the calls are spread over")
	atOnce := o.Int("at-once", 19, "")
	count := o.Int("count", 2000, "")
	warmUp := o.Int("warm-up", 100, "calls before these that are not counted")
	workers := o.Bool("worker", true, "take the workflow tasks; without one, signals pile up")
	pollers := o.Int("pollers", 32, "of each kind")
	id := o.String("id", "", "prefix of the workflow ids; by default one that is new")
	o.parse()
	send := map[string]func(context.Context, client, string, string) error{"signal": signalRun, "update": updateRun, "query": queryRun}[*kind]
	name := *id
	if name == "" {
		name = uniqueName(*kind)
	}
	w := &worker{connections: dial(*o.target, *o.connections), queue: name, sticky: name + "-sticky", staysOpen: true}
	ctx, cancel := context.WithCancel(context.Background())
	if *workers {
		w.run(ctx, *pollers)
	}
	idOf := func(number int) string { return fmt.Sprintf("%s-run-%d", name, number%*runs) }
	for number := range *runs {
		_, err := startWorkflow(ctx, w.connections.get(), idOf(number), name, 0, &w.refused)
		must(err)
	}
	one := func(loop int, request string) {
		c := w.connections.get()
		for {
			err := send(ctx, c, idOf(loop), request)
			if err == nil {
				return
			}
			if !shouldRetry(err, &w.refused) {
				must(err)
			}
		}
	}
	share(*warmUp, *atOnce, func(loop, number int) { one(loop, fmt.Sprintf("warm-up-%d", number)) })
	used, took := o.timed(*count, *atOnce, func(loop, number int) { one(loop, fmt.Sprintf("%s-%d", *kind, number)) })
	cancel()
	give(struct {
		spent
		Count         int            `json:"count"`
		P50Ms         float64        `json:"p50_ms"`
		P99Ms         float64        `json:"p99_ms"`
		WorkflowTasks int64          `json:"workflow_tasks"`
		Refused       map[string]int `json:"refused"`
	}{used, len(took), percentile(took, .5), percentile(took, .99), w.workflowTasksCount.Load(), w.refused.found()})
}

func signalRun(ctx context.Context, c client, id, request string) error {
	_, err := c.SignalWorkflowExecution(ctx, &workflowservice.SignalWorkflowExecutionRequest{
		Namespace: namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id}, SignalName: "s",
		RequestId: request, Input: payloads([]byte(`1`)), Identity: identity,
	})
	return err
}

func updateRun(ctx context.Context, c client, id, request string) error {
	answer, err := c.UpdateWorkflowExecution(ctx, &workflowservice.UpdateWorkflowExecutionRequest{
		Namespace: namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
		WaitPolicy: &updatepb.WaitPolicy{LifecycleStage: enumspb.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED},
		Request: &updatepb.Request{
			Meta:  &updatepb.Meta{UpdateId: request, Identity: identity},
			Input: &updatepb.Input{Name: "u", Args: payloads([]byte(`1`))},
		},
	})
	if err == nil && answer.Outcome.GetSuccess() == nil {
		return fmt.Errorf("the update %s came to %v", request, answer.Outcome)
	}
	return err
}

func queryRun(ctx context.Context, c client, id, _ string) error {
	_, err := c.QueryWorkflow(ctx, &workflowservice.QueryWorkflowRequest{
		Namespace: namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: id}, Query: &querypb.WorkflowQuery{QueryType: "q"},
	})
	return err
}
