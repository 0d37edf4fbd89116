// The benchmark's raw client: it speaks Temporal's gRPC API by hand, so that the server is the limit and not an SDK.
//
//	driver workflows|calls|start|work|poll|burst|history|reset|probe [flags]
//
// Every command takes -target HOST:PORT and prints its figures as one line of JSON. `driver COMMAND -h` lists the flags.
// A figure's name ends in its unit. CPU figures are those of the server's process and its children, read from /proc.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"
)

var commands = map[string]func(*options){
	"workflows": workflows,
	"calls":     calls,
	"start":     start,
	"work":      work,
	"poll":      poll,
	"burst":     burst,
	"history":   history,
	"reset":     reset,
	"probe":     probe,
}

// The flags that all commands have, and a place for their own.
type options struct {
	*flag.FlagSet
	arguments   []string
	target      *string
	connections *int
	serverPID   *int
	databasePID *int
}

func (o *options) parse() {
	must(o.Parse(o.arguments))
}

func (o *options) read() clock {
	return readClock(*o.serverPID, *o.databasePID)
}

// timed does a number of things, some at once, and returns what they cost, and how many milliseconds each took, sorted.
func (o *options) timed(count, loops int, each func(loop, number int)) (spent, []float64) {
	var mutex sync.Mutex
	var took []float64
	first := o.read()
	share(count, loops, func(loop, number int) {
		began := time.Now()
		each(loop, number)
		mutex.Lock()
		took = append(took, milliseconds(began))
		mutex.Unlock()
	})
	used := o.read().since(first)
	sort.Float64s(took)
	return used, took
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: driver workflows|calls|start|work|poll|burst|history|reset|probe [flags]")
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	commands[os.Args[1]](&options{
		FlagSet:     flags,
		arguments:   os.Args[2:],
		target:      flags.String("target", "127.0.0.1:7233", "the server's HOST:PORT"),
		connections: flags.Int("connections", 4, "connections that the calls are spread over"),
		serverPID:   flags.Int("server-pid", 0, "the server's root process"),
		databasePID: flags.Int("database-pid", 0, "the root process of its database; 0: none"),
	})
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		os.Exit(1)
	}
}

func give(figures any) {
	line, err := json.Marshal(figures)
	must(err)
	fmt.Println(string(line))
}

func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
