package logging_test

import (
	"log/slog"
	"os"
	"time"

	"moonbridge/handler/logging"
)

// A logger for standard error that never blocks, for engine.Options.Logger and others.
func ExampleQueue() {
	queue := logging.NewQueue(os.Stderr, logging.Options{
		Mark: func(b []byte, lost int, err error) []byte { return append(b, "(records are missing here)\n"...) },
	})
	defer queue.Close(2 * time.Second)
	log := slog.New(slog.NewTextHandler(queue, nil))
	log.Info("ready")
}
