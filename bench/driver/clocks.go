package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const ticksPerSecond = 100

// A moment, and the CPU seconds that server, database and this client had used by then.
type clock struct {
	at                       time.Time
	server, database, client float64
}

func readClock(serverPID, databasePID int) clock {
	return clock{time.Now(), cpuSeconds(serverPID), cpuSeconds(databasePID), ownCPUSeconds()}
}

// What was used between two moments.
type spent struct {
	Seconds            float64 `json:"seconds"`
	ServerCPUSeconds   float64 `json:"server_cpu_seconds"`
	DatabaseCPUSeconds float64 `json:"database_cpu_seconds"`
	ClientCPUSeconds   float64 `json:"client_cpu_seconds"`
}

func (last clock) since(first clock) spent {
	return spent{
		round(last.at.Sub(first.at).Seconds()), round(last.server - first.server),
		round(last.database - first.database), round(last.client - first.client),
	}
}

// cpuSeconds is the CPU time of a process and all below it, those that have ended included.
func cpuSeconds(pid int) float64 {
	if pid == 0 {
		return 0
	}
	children := map[int][]int{}
	used := map[int]float64{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil { // It has ended meanwhile.
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
		id, _ := strconv.Atoi(strings.Split(name, "/")[2])
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], id)
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			ticks, _ := strconv.ParseFloat(field, 64)
			used[id] += ticks / ticksPerSecond
		}
	}
	total := 0.0
	var visit func(int)
	visit = func(id int) {
		total += used[id]
		for _, child := range children[id] {
			visit(child)
		}
	}
	visit(pid)
	return total
}

func ownCPUSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

// percentile is the value below which `share` of an ordered list lies (nearest rank).
func percentile(ordered []float64, share float64) float64 {
	if len(ordered) == 0 {
		return 0
	}
	return round(ordered[min(len(ordered)-1, int(float64(len(ordered))*share))])
}

func milliseconds(since time.Time) float64 {
	return time.Since(since).Seconds() * 1e3
}

func round(value float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(value, 'f', 4, 64), 64)
	return rounded
}
