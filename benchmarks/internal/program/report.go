package program

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"moonbridge/benchmarks/internal/machine"
)

// Report prints a report, after the date and what is known about the machine. Unless the name is "-" it also keeps it in a file of
// the folder results in benchmarks.
func Report(benchmarks, name string, write func(to io.Writer)) error {
	if name == "-" {
		report(os.Stdout, benchmarks, write)
		return nil
	}
	file, err := os.Create(filepath.Join(benchmarks, "results", time.Now().Format("2006-01-02-")+name+".txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	report(io.MultiWriter(os.Stdout, file), benchmarks, write)
	return file.Close()
}

func report(to io.Writer, benchmarks string, write func(to io.Writer)) {
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(benchmarks) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	write(to)
}
