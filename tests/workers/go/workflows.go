package main

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

var workflows = []any{
	Greeting, Conversation, Sleeper, Retrying, Beating, Local, Many, Parent, Failing, Again, Cancelled, Versioned, Waiting,
}

var spoken = temporal.NewSearchAttributeKeyKeyword("Spoken")

func withActivities(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
}

func Greeting(ctx workflow.Context, name string) (string, error) {
	var greeting string
	err := workflow.ExecuteActivity(withActivities(ctx), "greet", name).Get(ctx, &greeting)
	return greeting, err
}

type Talk struct {
	Said []string `json:"said"`
	Name string   `json:"name"`
}

func Conversation(ctx workflow.Context) (Talk, error) {
	talk := Talk{Said: []string{}, Name: "nobody"}
	err := workflow.SetQueryHandler(ctx, "said", func() ([]string, error) { return talk.Said, nil })
	if err != nil {
		return talk, err
	}
	rename := func(ctx workflow.Context, name string) (string, error) {
		before := talk.Name
		talk.Name = name
		return before, nil
	}
	notEmpty := func(ctx workflow.Context, name string) error {
		if name == "" {
			return errors.New("a name may not be empty")
		}
		return nil
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, "rename", rename, workflow.UpdateHandlerOptions{Validator: notEmpty})
	if err != nil {
		return talk, err
	}
	isFinished := false
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(workflow.GetSignalChannel(ctx, "say"), func(c workflow.ReceiveChannel, _ bool) {
		var text string
		c.Receive(ctx, &text)
		talk.Said = append(talk.Said, text)
	})
	selector.AddReceive(workflow.GetSignalChannel(ctx, "finish"), func(c workflow.ReceiveChannel, _ bool) {
		c.Receive(ctx, nil)
		isFinished = true
	})
	for !isFinished || selector.HasPending() {
		selector.Select(ctx)
	}
	return talk, nil
}

func Sleeper(ctx workflow.Context, seconds float64) (string, error) {
	err := workflow.Sleep(ctx, time.Duration(seconds*float64(time.Second)))
	return "slept", err
}

var soon = &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond}

func Retrying(ctx workflow.Context, failures int) (int, error) {
	ctx = workflow.WithRetryPolicy(withActivities(ctx), *soon)
	var attempt int
	err := workflow.ExecuteActivity(ctx, "flaky", failures).Get(ctx, &attempt)
	return attempt, err
}

func Beating(ctx workflow.Context, beats int) (Beats, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		HeartbeatTimeout:    10 * time.Second,
		RetryPolicy:         soon,
	})
	var counted Beats
	err := workflow.ExecuteActivity(ctx, "beat", beats).Get(ctx, &counted)
	return counted, err
}

func Local(ctx workflow.Context, name string) (string, error) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second})
	var greeting string
	err := workflow.ExecuteLocalActivity(ctx, greet, name).Get(ctx, &greeting)
	return greeting, err
}

func Many(ctx workflow.Context, n int) (int, error) {
	ctx = withActivities(ctx)
	started := make([]workflow.Future, n)
	for i := range started {
		started[i] = workflow.ExecuteActivity(ctx, "number", i)
	}
	sum := 0
	for _, future := range started {
		var number int
		if err := future.Get(ctx, &number); err != nil {
			return 0, err
		}
		sum += number
	}
	return sum, nil
}

func Parent(ctx workflow.Context, name string) ([]string, error) {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{})
	var greeting string
	if err := workflow.ExecuteChildWorkflow(ctx, Greeting, name).Get(ctx, &greeting); err != nil {
		return nil, err
	}
	err := workflow.ExecuteChildWorkflow(ctx, Failing).Get(ctx, nil)
	var broken *temporal.ApplicationError
	if !errors.As(err, &broken) || broken.Type() != "Broken" {
		return nil, errors.New("the child did not fail as it should have")
	}
	return []string{greeting, "caught"}, nil
}

func Failing(workflow.Context) error {
	return temporal.NewApplicationError("broken", "Broken")
}

func Again(ctx workflow.Context, n int) (string, error) {
	if n == 0 {
		return "done", nil
	}
	return "", workflow.NewContinueAsNewError(ctx, Again, n-1)
}

func Cancelled(ctx workflow.Context) error {
	err := workflow.Sleep(ctx, 24*time.Hour)
	detached, _ := workflow.NewDisconnectedContext(ctx)
	if failure := workflow.ExecuteActivity(withActivities(detached), "clean_up").Get(detached, nil); failure != nil {
		return failure
	}
	return err
}

func Versioned(ctx workflow.Context) (string, error) {
	version := workflow.GetVersion(ctx, "changed", workflow.DefaultVersion, 1)
	var effect string
	err := workflow.SideEffect(ctx, func(workflow.Context) any { return "ok" }).Get(&effect)
	if err != nil {
		return "", err
	}
	if version != 1 {
		effect = "the first version"
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, spoken.ValueSet("yes")); err != nil {
		return "", err
	}
	return effect, workflow.UpsertMemo(ctx, map[string]any{"upserted": "yes"})
}

func Waiting(ctx workflow.Context) (string, error) {
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
	return "went", nil
}
