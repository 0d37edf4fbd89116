package main

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
)

var activities = map[string]any{
	"greet": greet, "flaky": flaky, "beat": beat, "number": number, "clean_up": cleanUp,
}

func greet(_ context.Context, name string) (string, error) {
	return fmt.Sprintf("Hello %s!", name), nil
}

func flaky(ctx context.Context, failures int) (int, error) {
	attempt := int(activity.GetInfo(ctx).Attempt)
	if attempt <= failures {
		return 0, temporal.NewApplicationError("not yet", "Flaky")
	}
	return attempt, nil
}

type Beats struct {
	Total   int `json:"total"`
	Resumed int `json:"resumed"`
}

func beat(ctx context.Context, beats int) (Beats, error) {
	resumed := 0
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &resumed); err != nil {
			return Beats{}, err
		}
	}
	last := beats
	if activity.GetInfo(ctx).Attempt == 1 {
		last = beats / 2
	}
	count := resumed
	for count < last {
		count++
		activity.RecordHeartbeat(ctx, count)
	}
	if count < beats {
		return Beats{}, temporal.NewApplicationError("out of breath", "Breathless")
	}
	return Beats{Total: count, Resumed: resumed}, nil
}

func number(_ context.Context, n int) (int, error) {
	return n, nil
}

func cleanUp(context.Context) error {
	return nil
}
