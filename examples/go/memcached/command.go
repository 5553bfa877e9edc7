package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

const (
	lineMax  = 2048                             // bytes of the line that a command begins with, with CR LF
	valueMax = 256 << 10                        // bytes of a value
	inputMax = lineMax + valueMax + len("\r\n") // a set: both lines
)

// command is one of:
//
//	get KEY ...
//	set KEY FLAGS SECONDS LENGTH [noreply]    (the value follows, in a line of its own)
//	delete KEY [noreply]
//	version
type command struct {
	name  string
	args  []string // the other words of the line
	value []byte   // a view of the input
	size  int      // bytes of all that in the input
}

// parse parses the command that input begins with. complete is false as long as a part of it has not arrived.
func parse(input []byte) (cmd command, complete bool, err error) {
	line, rest, ended := bytes.Cut(input, []byte("\r\n"))
	cmd.size = len(line)
	if ended {
		cmd.size += len("\r\n")
	}
	if cmd.size > lineMax {
		return cmd, false, errors.New("line too long")
	}
	if !ended {
		return cmd, false, nil
	}
	words := strings.Fields(string(line))
	if len(words) > 0 {
		cmd.name, cmd.args = words[0], words[1:]
	}
	if cmd.name != "set" || len(cmd.args) < 4 { // no value follows. Other commands that have one belong here
		return cmd, true, nil
	}
	length, err := strconv.Atoi(cmd.args[3])
	if err != nil || length < 0 || length > valueMax {
		return cmd, false, errors.New("bad data chunk")
	}
	if len(rest) < length+2 {
		return cmd, false, nil
	}
	if string(rest[length:length+2]) != "\r\n" {
		return cmd, false, errors.New("bad data chunk")
	}
	cmd.value = rest[:length]
	cmd.size += length + 2
	return cmd, true, nil
}
