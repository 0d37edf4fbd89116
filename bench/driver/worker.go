package main

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	commandpb "go.temporal.io/api/command/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	protocolpb "go.temporal.io/api/protocol/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A worker by hand: it polls one task queue, and plays the same workflow for every run.
type worker struct {
	connections *connections
	queue       string
	// Empty for a worker that has no sticky queue.
	sticky string
	// How many activities a run schedules at once before it completes.
	activitiesCount int
	activityResult  []byte
	// A run never completes: it takes signals, updates and queries.
	staysOpen bool
	// A run records so many markers a task until its history has `eventsMax` events, and then stays open. 0: it does not.
	markersCount int
	eventsMax    int64

	states      sync.Map // run id -> *runState
	refused     refusals
	firstTask   sync.Once
	firstTaskAt time.Time

	workflowTasksCount, activitiesDone, completedCount, waitingCount atomic.Int64
}

// What a worker remembers of a run.
type runState struct {
	mutex          sync.Mutex
	lastEvent      int64
	activitiesDone int
}

// run polls until the context ends: so many pollers of each kind of task.
func (w *worker) run(ctx context.Context, pollersCount int) {
	for range pollersCount {
		go w.pollWorkflowTasks(ctx, w.normalQueue())
		if w.sticky != "" {
			go w.pollWorkflowTasks(ctx, w.stickyQueue())
		}
		if w.activitiesCount > 0 {
			go w.pollActivityTasks(ctx)
		}
	}
}

func (w *worker) normalQueue() *taskqueuepb.TaskQueue {
	return &taskqueuepb.TaskQueue{Name: w.queue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL}
}

func (w *worker) stickyQueue() *taskqueuepb.TaskQueue {
	return &taskqueuepb.TaskQueue{Name: w.sticky, Kind: enumspb.TASK_QUEUE_KIND_STICKY, NormalName: w.queue}
}

func (w *worker) pollWorkflowTasks(ctx context.Context, queue *taskqueuepb.TaskQueue) {
	c := w.connections.get()
	for ctx.Err() == nil {
		call, stop := context.WithTimeout(ctx, pollTimeout)
		task, err := c.PollWorkflowTaskQueue(call, &workflowservice.PollWorkflowTaskQueueRequest{
			Namespace: namespace, TaskQueue: queue, Identity: identity,
		})
		stop()
		if err != nil {
			w.rest(ctx, err)
			continue
		}
		if len(task.TaskToken) == 0 {
			continue
		}
		w.firstTask.Do(func() { w.firstTaskAt = time.Now() })
		w.workflowTasksCount.Add(1)
		if task.Query != nil {
			_, err = c.RespondQueryTaskCompleted(ctx, &workflowservice.RespondQueryTaskCompletedRequest{
				Namespace: namespace, TaskToken: task.TaskToken, CompletedType: enumspb.QUERY_RESULT_TYPE_ANSWERED, QueryResult: payloads([]byte(`1`)),
			})
		} else {
			err = w.answer(ctx, c, task)
		}
		if err != nil && ctx.Err() == nil {
			w.refused.add(err)
		}
	}
}

func (w *worker) rest(ctx context.Context, err error) {
	if ctx.Err() == nil {
		w.refused.add(err)
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *worker) answer(ctx context.Context, c client, task *workflowservice.PollWorkflowTaskQueueResponse) error {
	runID := task.WorkflowExecution.RunId
	found, _ := w.states.LoadOrStore(runID, &runState{})
	state := found.(*runState)
	state.mutex.Lock()
	defer state.mutex.Unlock()
	if err := w.replay(ctx, c, task, state); err != nil {
		return err
	}
	request := &workflowservice.RespondWorkflowTaskCompletedRequest{Namespace: namespace, TaskToken: task.TaskToken, Identity: identity}
	if w.sticky != "" {
		request.StickyAttributes = &taskqueuepb.StickyExecutionAttributes{
			WorkerTaskQueue: w.stickyQueue(), ScheduleToStartTimeout: durationpb.New(10 * time.Second),
		}
	}
	for _, message := range task.Messages {
		if err := completeUpdate(request, message); err != nil {
			return err
		}
	}
	isClosing := w.decide(task, state, request)
	if _, err := c.RespondWorkflowTaskCompleted(ctx, request); err != nil {
		return err
	}
	if isClosing {
		w.states.Delete(runID)
		w.completedCount.Add(1)
	}
	return nil
}

// replay reads the events that the worker has not seen, page by page.
func (w *worker) replay(ctx context.Context, c client, task *workflowservice.PollWorkflowTaskQueueResponse, state *runState) error {
	events, token := task.History.GetEvents(), task.NextPageToken
	for {
		for _, event := range events {
			if event.EventId <= state.lastEvent {
				continue
			}
			state.lastEvent = event.EventId
			if event.EventType == enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED {
				state.activitiesDone++
			}
		}
		if len(token) == 0 {
			return nil
		}
		page, err := c.GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: namespace, Execution: task.WorkflowExecution, NextPageToken: token,
		})
		if err != nil {
			return err
		}
		events, token = page.History.GetEvents(), page.NextPageToken
	}
}

// decide adds the workflow's commands, and says whether they complete the run.
func (w *worker) decide(task *workflowservice.PollWorkflowTaskQueueResponse, state *runState, request *workflowservice.RespondWorkflowTaskCompletedRequest) bool {
	switch {
	case w.staysOpen:
	case w.eventsMax > 0 && task.StartedEventId < w.eventsMax:
		for range w.markersCount {
			request.Commands = append(request.Commands, recordMarker())
		}
		request.ForceCreateNewWorkflowTask = true
	case w.eventsMax > 0:
		w.waitingCount.Add(1)
	case state.activitiesDone < w.activitiesCount:
		if task.PreviousStartedEventId == 0 {
			for number := range w.activitiesCount {
				request.Commands = append(request.Commands, w.scheduleActivity(number+1))
			}
		}
	default:
		request.Commands = append(request.Commands, completeWorkflow())
		return true
	}
	return false
}

func recordMarker() *commandpb.Command {
	return &commandpb.Command{
		CommandType: enumspb.COMMAND_TYPE_RECORD_MARKER,
		Attributes: &commandpb.Command_RecordMarkerCommandAttributes{
			RecordMarkerCommandAttributes: &commandpb.RecordMarkerCommandAttributes{MarkerName: "m"},
		},
	}
}

func (w *worker) scheduleActivity(number int) *commandpb.Command {
	return &commandpb.Command{
		CommandType: enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
		Attributes: &commandpb.Command_ScheduleActivityTaskCommandAttributes{
			ScheduleActivityTaskCommandAttributes: &commandpb.ScheduleActivityTaskCommandAttributes{
				ActivityId: strconv.Itoa(number), ActivityType: &commonpb.ActivityType{Name: "compose"},
				TaskQueue: &taskqueuepb.TaskQueue{Name: w.queue}, Input: payloads([]byte(`"x"`)),
				// An activity may be late on a busy machine, and must not be tried again for that.
				ScheduleToCloseTimeout: durationpb.New(time.Hour), StartToCloseTimeout: durationpb.New(time.Minute),
			},
		},
	}
}

func completeWorkflow() *commandpb.Command {
	return &commandpb.Command{
		CommandType: enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
		Attributes: &commandpb.Command_CompleteWorkflowExecutionCommandAttributes{
			CompleteWorkflowExecutionCommandAttributes: &commandpb.CompleteWorkflowExecutionCommandAttributes{Result: payloads([]byte(`"Hello"`))},
		},
	}
}

// completeUpdate accepts an update and completes it at once.
func completeUpdate(request *workflowservice.RespondWorkflowTaskCompletedRequest, message *protocolpb.Message) error {
	asked := &updatepb.Request{}
	if err := message.Body.UnmarshalTo(asked); err != nil {
		return err
	}
	accepted, err := anypb.New(&updatepb.Acceptance{
		AcceptedRequestMessageId: message.Id, AcceptedRequestSequencingEventId: message.GetEventId(), AcceptedRequest: asked,
	})
	if err != nil {
		return err
	}
	completed, err := anypb.New(&updatepb.Response{
		Meta: asked.Meta, Outcome: &updatepb.Outcome{Value: &updatepb.Outcome_Success{Success: payloads([]byte(`1`))}},
	})
	if err != nil {
		return err
	}
	for _, each := range []struct {
		suffix string
		body   *anypb.Any
	}{{"/accept", accepted}, {"/complete", completed}} {
		id := message.Id + each.suffix
		request.Messages = append(request.Messages, &protocolpb.Message{Id: id, ProtocolInstanceId: message.ProtocolInstanceId, Body: each.body})
		request.Commands = append(request.Commands, &commandpb.Command{
			CommandType: enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE,
			Attributes: &commandpb.Command_ProtocolMessageCommandAttributes{
				ProtocolMessageCommandAttributes: &commandpb.ProtocolMessageCommandAttributes{MessageId: id},
			},
		})
	}
	return nil
}

func (w *worker) pollActivityTasks(ctx context.Context) {
	c := w.connections.get()
	for ctx.Err() == nil {
		call, stop := context.WithTimeout(ctx, pollTimeout)
		task, err := c.PollActivityTaskQueue(call, &workflowservice.PollActivityTaskQueueRequest{
			Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: w.queue}, Identity: identity,
		})
		stop()
		if err != nil {
			w.rest(ctx, err)
			continue
		}
		if len(task.TaskToken) == 0 {
			continue
		}
		if _, err := c.RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{
			Namespace: namespace, TaskToken: task.TaskToken, Identity: identity, Result: payloads(w.activityResult),
		}); err != nil && ctx.Err() == nil {
			w.refused.add(err)
		}
		w.activitiesDone.Add(1)
	}
}
