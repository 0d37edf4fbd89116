package main

import (
	"context"
	"io"
	"os"
	"sort"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

const (
	probeInterval = 50 * time.Millisecond
	probeTimeout  = 2 * time.Minute
)

// probe calls DescribeNamespace every 50 ms until standard input ends, whether or not the calls before have been answered.
func probe(o *options) {
	o.parse()
	c := dial(*o.target, 1).get()
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	var mutex sync.Mutex
	var took []float64
	var refused refusals
	refusedCount := 0
	var all sync.WaitGroup
	ticker := time.NewTicker(probeInterval)
	for running := true; running; {
		select {
		case <-over:
			running = false
		case <-ticker.C:
			all.Go(func() {
				began := time.Now()
				call, stop := context.WithTimeout(context.Background(), probeTimeout)
				defer stop()
				_, err := c.DescribeNamespace(call, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
				mutex.Lock()
				defer mutex.Unlock()
				if err != nil {
					refusedCount++
					refused.add(err)
					return
				}
				took = append(took, milliseconds(began))
			})
		}
	}
	all.Wait()
	sort.Float64s(took)
	give(struct {
		Count        int            `json:"count"`
		RefusedCount int            `json:"refused_count"`
		P50Ms        float64        `json:"p50_ms"`
		P99Ms        float64        `json:"p99_ms"`
		MaxMs        float64        `json:"max_ms"`
		Refused      map[string]int `json:"refused"`
	}{len(took), refusedCount, percentile(took, .5), percentile(took, .99), percentile(took, 1), refused.found()})
}
