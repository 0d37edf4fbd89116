package main

import (
	"context"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
)

func workflowType() *commonpb.WorkflowType {
	return &commonpb.WorkflowType{Name: "Hello"}
}

// history reads the history of a run page by page.
func history(o *options) {
	id := o.String("id", "", "the workflow id")
	reverse := o.Bool("reverse", false, "read from the newest event back")
	pagesMax := o.Int("pages", 1<<30, "read no more than so many")
	o.parse()
	c := dial(*o.target, 1).get()
	ctx := context.Background()
	describeNamespace(ctx, c)
	run := &commonpb.WorkflowExecution{WorkflowId: *id}
	first := o.read()
	events, pages, slowest := 0, 0, 0.0
	var token []byte
	for pages == 0 || len(token) > 0 && pages < *pagesMax {
		began := time.Now()
		var page []*historypb.HistoryEvent
		if *reverse {
			got, err := c.GetWorkflowExecutionHistoryReverse(ctx, &workflowservice.GetWorkflowExecutionHistoryReverseRequest{
				Namespace: namespace, Execution: run, NextPageToken: token,
			})
			must(err)
			page, token = got.History.GetEvents(), got.NextPageToken
		} else {
			got, err := c.GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{
				Namespace: namespace, Execution: run, NextPageToken: token,
			})
			must(err)
			page, token = got.History.GetEvents(), got.NextPageToken
		}
		slowest = max(slowest, milliseconds(began))
		events += len(page)
		pages++
	}
	give(struct {
		spent
		Count         int     `json:"count"`
		Pages         int     `json:"pages"`
		SlowestPageMs float64 `json:"slowest_page_ms"`
	}{o.read().since(first), events, pages, round(slowest)})
}

// reset resets a run to a workflow task.
func reset(o *options) {
	id := o.String("id", "", "the workflow id")
	event := o.Int64("event", 4, "id of a WorkflowTaskCompleted event")
	o.parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := dial(*o.target, 1).get()
	describeNamespace(ctx, c)
	first := o.read()
	_, err := c.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: *id}, WorkflowTaskFinishEventId: *event,
		RequestId: uniqueName("reset"), Reason: "benchmark",
	})
	must(err)
	give(o.read().since(first))
}
