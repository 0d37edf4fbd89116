package main

import (
	"context"
	"fmt"
	"time"
)

// start starts runs that nobody works on.
func start(o *options) {
	count := o.Int("count", 10000, "")
	atOnce := o.Int("at-once", 64, "")
	queue := o.String("queue", "backlog", "")
	prefix := o.String("prefix", "backlog", "of the workflow ids")
	delay := o.Duration("delay", 0, "the first task comes so much later")
	o.parse()
	from := dial(*o.target, *o.connections)
	var refused refusals
	first := o.read()
	share(*count, *atOnce, func(_, number int) {
		_, err := startWorkflow(context.Background(), from.get(), fmt.Sprintf("%s-%d", *prefix, number), *queue, *delay, &refused)
		must(err)
	})
	give(struct {
		spent
		Count   int            `json:"count"`
		Refused map[string]int `json:"refused"`
	}{o.read().since(first), *count, refused.found()})
}

// work is a worker for runs that are there already.
func work(o *options) {
	queue := o.String("queue", "backlog", "")
	pollers := o.Int("pollers", 64, "")
	seconds := o.Float64("seconds", 600, "stop after so long")
	count := o.Int64("count", 0, "stop after so many runs have completed, or wait; 0: only by time")
	markers := o.Int("markers", 7, "that a task records while the history grows")
	events := o.Int64("events", 0, "grow the history to so many events and leave the run open; 0: complete the run at once")
	sticky := o.Bool("sticky", false, "use a sticky queue")
	o.parse()
	w := &worker{connections: dial(*o.target, *o.connections), queue: *queue, markersCount: *markers, eventsMax: *events}
	if *sticky {
		w.sticky = *queue + "-sticky"
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := o.read()
	w.run(ctx, *pollers)
	for time.Since(first.at).Seconds() < *seconds && (*count == 0 || w.completedCount.Load()+w.waitingCount.Load() < *count) {
		time.Sleep(10 * time.Millisecond)
	}
	used := o.read().since(first)
	tasks := w.workflowTasksCount.Load()
	cancel()
	firstTask := 0.0
	if tasks > 0 {
		firstTask = round(w.firstTaskAt.Sub(first.at).Seconds())
	}
	give(struct {
		spent
		Count            int64          `json:"count"`
		FirstTaskSeconds float64        `json:"first_task_seconds"`
		Refused          map[string]int `json:"refused"`
	}{used, tasks, firstTask, w.refused.found()})
}
