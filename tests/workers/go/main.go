// A worker of the Go SDK with its default options: see ../README.md.
package main

import (
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

func main() {
	if len(os.Args) != 4 && len(os.Args) != 5 {
		log.Fatalln("usage: run ADDRESS NAMESPACE TASK_QUEUE [MAX_CACHED]")
	}
	address, namespace, queue := os.Args[1], os.Args[2], os.Args[3]
	if len(os.Args) == 5 {
		size, err := strconv.Atoi(os.Args[4])
		if err != nil {
			log.Fatalln("MAX_CACHED:", err)
		}
		worker.SetStickyWorkflowCacheSize(size)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)

	c, err := client.Dial(client.Options{HostPort: address, Namespace: namespace})
	if err != nil {
		log.Fatalln("cannot connect:", err)
	}
	defer c.Close()

	w := worker.New(c, queue, worker.Options{})
	for _, workflow := range workflows {
		w.RegisterWorkflow(workflow)
	}
	for name, function := range activities {
		w.RegisterActivityWithOptions(function, activity.RegisterOptions{Name: name})
	}
	if err := w.Start(); err != nil {
		log.Fatalln("cannot start the worker:", err)
	}
	fmt.Println("ready")
	<-terminated
	w.Stop()
	fmt.Println("stopped")
}
