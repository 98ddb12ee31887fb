package main

import (
	"errors"
	"testing"
	"time"
)

func TestPartitionsAreTriedAgainSoon(t *testing.T) {
	t.Parallel()
	if got := partitionsPause(nil); got != 12*time.Hour {
		t.Errorf("after a success: %s", got)
	}
	if got := partitionsPause(errors.New("somebody reads the history")); got != 10*time.Minute {
		t.Errorf("after an error: %s", got)
	}
}
