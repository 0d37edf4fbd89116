package main

import (
	"context"
	"fmt"
)

// workflows runs so many workflows in a closed loop: `at-once` of them are open at any time. A fixed number and not a
// window, because on a busy machine a window may see none of them end.
func workflows(o *options) {
	atOnce := o.Int("at-once", 19, "workflows that are open at any time")
	count := o.Int("count", 600, "workflows in all")
	warmUp := o.Int("warm-up", 0, "workflows before these that are not counted")
	activities := o.Int("activities", 1, "activities of a workflow, all at once")
	resultBytes := o.Int("result-bytes", 10, "size of an activity's result")
	pollers := o.Int("pollers", 32, "of each kind")
	o.parse()
	name := uniqueName("driver")
	w := &worker{
		connections: dial(*o.target, *o.connections), queue: name, sticky: name + "-sticky",
		activitiesCount: *activities, activityResult: text(*resultBytes),
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.run(ctx, *pollers)
	runOne := func(id string) {
		c := w.connections.get()
		run, err := startWorkflow(ctx, c, id, name, 0, &w.refused)
		must(err)
		must(awaitResult(ctx, c, id, run, &w.refused))
	}
	share(*warmUp, *atOnce, func(_, number int) { runOne(fmt.Sprintf("%s-warm-up-%d", name, number)) })
	used, took := o.timed(*count, *atOnce, func(_, number int) { runOne(fmt.Sprintf("%s-%d", name, number)) })
	cancel()
	give(struct {
		spent
		Count   int            `json:"count"`
		P50Ms   float64        `json:"p50_ms"`
		P99Ms   float64        `json:"p99_ms"`
		Refused map[string]int `json:"refused"`
	}{used, len(took), percentile(took, .5), percentile(took, .99), w.refused.found()})
}
