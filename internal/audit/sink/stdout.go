package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// Writer writes events as JSON lines, such as to standard output. Checkpoints are lines of
// their own: {"checkpoint":"…"}. It is for one sink.
type Writer struct {
	W io.Writer
	// writing is a write that its sending did not wait for any longer.
	writing chan error
}

// Send writes the batch at once. A writer that takes nothing, such as a full pipe, is left
// to itself when ctx ends; the next sending waits for it first, and writes the lines again.
func (w *Writer) Send(ctx context.Context, batch Batch) error {
	if w.writing != nil {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	var text []byte
	for _, line := range batch.Lines {
		text = append(append(text, line...), '\n')
	}
	for _, note := range batch.Checkpoints {
		line, err := json.Marshal(map[string]string{"checkpoint": note})
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	done := make(chan error, 1)
	w.writing = done
	go func() {
		_, err := w.W.Write(text)
		done <- err
	}()
	return w.wait(ctx)
}

func (w *Writer) wait(ctx context.Context) error {
	select {
	case err := <-w.writing:
		w.writing = nil
		if err != nil {
			return fmt.Errorf("writing the history out: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("writing the history out: %w", ctx.Err())
	}
}
