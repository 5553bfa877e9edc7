package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// shells are the values of --completion.
var shells = map[string]func(*strings.Builder, []flagChoice, []command){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}

// flagWords are the values of options that have a few fixed ones and are no choice.
var flagWords = map[string][]string{
	"logfacility": slices.Sorted(maps.Keys(facilities)),
	"completion":  slices.Sorted(maps.Keys(shells)),
}

// flagChoice is an option as the shells see it.
type flagChoice struct {
	long, short string
	text        string   // what it does, in a few words
	kind        string   // what it takes: "" nothing, else the name of its value in the help
	words       []string // its values, if they are few
	optional    bool     // its value may be missing, and follows "="
	repeated    bool     // it may be given several times
}

// completion writes the script that has a shell complete the options of mbserve.
func completion(shell string, w io.Writer) {
	var b strings.Builder
	shells[shell](&b, choicesOf(new(options).flags()), commands())
	io.WriteString(w, b.String())
}

// command is what the first word may be in place of a script.
type command struct {
	name, text string
	choices    []flagChoice
	takes      string // of what kind its other words are: the name of a value in the help
}

// commands are all of them. That something is called like one is rare enough: it is completed as if it were the command.
func commands() []command {
	return []command{
		{"new", "write a small application", nil, "DIRECTORY"},
		{"replay", "send a recorded request again", choicesOf(new(replayOptions).flags()), "FILE"},
		{"test", "run the tests of a script", choicesOf(new(testOptions).flags()), "SCRIPT"},
	}
}

func commandNames(list []command) string {
	var names []string
	for _, c := range list {
		names = append(names, c.name)
	}
	return strings.Join(names, " ")
}

func choicesOf(flags *pflag.FlagSet) (choices []flagChoice) {
	flags.VisitAll(func(f *pflag.Flag) { choices = append(choices, choiceOf(f)) })
	return choices
}

func choiceOf(f *pflag.Flag) flagChoice {
	kind, text := pflag.UnquoteUsage(f)
	c := flagChoice{long: f.Name, short: f.Shorthand, text: shortened(text), words: flagWords[f.Name]}
	if v, ok := f.Value.(interface{ names() []string }); ok {
		c.words = v.names()
	}
	switch f.Value.(type) {
	case pflag.SliceValue, *watchOption:
		c.repeated = true
	}
	if f.Value.Type() != "bool" {
		c.kind, c.optional = kind, f.NoOptDefVal != ""
	}
	return c
}

// shortened returns the first clause of an explanation, without characters that are special in the scripts.
func shortened(text string) string {
	if rest, ok := strings.CutPrefix(text, "for development: "); ok {
		text = rest
	}
	text = strings.TrimPrefix(text, "with --static: ")
	for _, end := range []string{": ", "; ", " ("} {
		text, _, _ = strings.Cut(text, end)
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("'\"\\[]:$`", r) {
			return -1
		}
		return r
	}, text)
}

// files, scripts and directories report what the value of an option is.
func (c flagChoice) files() bool       { return c.kind == "FILE" || c.kind == "PATH" }
func (c flagChoice) scripts() bool     { return c.kind == "SCRIPT" }
func (c flagChoice) directories() bool { return c.kind == "DIRECTORY" }

// spellings returns the long and, if there is one, the short form.
func (c flagChoice) spellings() []string {
	if c.short == "" {
		return []string{"--" + c.long}
	}
	return []string{"-" + c.short, "--" + c.long}
}

// bashAction returns the call of compgen that lists the values of an option, "" if nothing is known about them.
func (c flagChoice) bashAction() string {
	switch {
	case c.words != nil:
		return "-W '" + strings.Join(c.words, " ") + "'"
	case c.directories():
		return "-d"
	case c.files():
		return "-f"
	case c.scripts():
		return "-f -X '!*.lua'" // directories come by its other call
	case c.kind == "USER":
		return "-u"
	case c.kind == "GROUP":
		return "-g"
	}
	return ""
}

// bashCompletion looks for the script in the words before the cursor: options come before it, and what follows it belongs to it.
// The values of the options are skipped in that search.
func bashCompletion(b *strings.Builder, choices []flagChoice, list []command) {
	all, valued, _ := spelled(choices)
	fmt.Fprintf(b, `# bash completion for mbserve, made by mbserve --completion bash
_mbserve() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
	compopt -o filenames 2>/dev/null
	COMPREPLY=()
	[ "$prev" = = ] && prev=${COMP_WORDS[COMP_CWORD-2]}
	[ "$cur" = = ] && prev=${COMP_WORDS[COMP_CWORD-1]} && cur=
	if ((COMP_CWORD > 1)); then
		case ${COMP_WORDS[1]} in
%s		esac
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		%s) ((i++)); [ "${COMP_WORDS[i]}" = = ] && ((i++)) ;;
		--) ;;
		-*) [ "${COMP_WORDS[i+1]}" = = ] && ((i += 2)) ;;
		=) ;;
		*) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
		esac
	done
%s	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W '%s' -- "$cur") ;;
	*) mapfile -t COMPREPLY < <(((COMP_CWORD == 1)) && compgen -W '%s' -- "$cur"; compgen -f -X '!*.lua' -- "$cur"; compgen -d -- "$cur") ;;
	esac
}
complete -F _mbserve mbserve
`, bashCommands(list), strings.Join(valued, "|"), bashValues("\t", choices), strings.Join(all, " "), commandNames(list))
}

// spelled returns the spellings of all options, of those that have values, and the latter by what completes the values.
func spelled(choices []flagChoice) (all, valued []string, actions map[string][]string) {
	actions = make(map[string][]string)
	for _, c := range choices {
		for _, s := range c.spellings() {
			all = append(all, s)
			if c.kind == "" || c.optional {
				continue
			}
			valued = append(valued, s)
			actions[c.bashAction()] = append(actions[c.bashAction()], s)
		}
	}
	return all, valued, actions
}

// bashValues completes the value of the option before the cursor.
func bashValues(indent string, choices []flagChoice) string {
	_, _, actions := spelled(choices)
	if len(actions) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(indent + "case $prev in\n")
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		fmt.Fprintf(&b, "%s%s) %sreturn ;;\n", indent, strings.Join(actions[action], "|"), bashReply(action))
	}
	b.WriteString(indent + "esac\n")
	return b.String()
}

// bashCommands completes what follows the name of a command.
func bashCommands(list []command) string {
	var b strings.Builder
	for _, c := range list {
		all, _, _ := spelled(c.choices)
		fmt.Fprintf(&b, "\t\t%s)\n%s", c.name, bashValues("\t\t\t", c.choices))
		if len(all) > 0 {
			fmt.Fprintf(&b, "\t\t\tcase $cur in -*) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return ;; esac\n", strings.Join(all, " "))
		}
		fmt.Fprintf(&b, "\t\t\t%sreturn ;;\n", bashReply(flagChoice{kind: c.takes}.bashAction()))
	}
	return b.String()
}

func bashReply(action string) string {
	switch {
	case action == "":
		return ""
	case strings.Contains(action, "-X"):
		return "mapfile -t COMPREPLY < <(compgen " + action + ` -- "$cur"; compgen -d -- "$cur"); `
	}
	return "mapfile -t COMPREPLY < <(compgen " + action + ` -- "$cur"); `
}

// zshCompletion leaves the rules to _arguments.
func zshCompletion(b *strings.Builder, choices []flagChoice, list []command) {
	b.WriteString("#compdef mbserve\n# zsh completion for mbserve, made by mbserve --completion zsh\nif (( CURRENT > 2 )); then\n\tcase $words[2] in\n")
	for _, c := range list {
		fmt.Fprintf(b, "\t%s)\n\tshift words\n\t(( CURRENT-- ))\n\t_arguments -s -S \\\n", c.name)
		zshOptions(b, c.choices)
		fmt.Fprintf(b, "\t'*:%s:%s'\n\treturn\n\t;;\n", strings.ToLower(c.takes), flagChoice{kind: c.takes}.zshAction())
	}
	b.WriteString("\tesac\nfi\n_arguments -s -S \\\n")
	zshOptions(b, choices)
	fmt.Fprintf(b, "\t'1:script: _alternative \"commands:command:(%s)\" \"scripts:script:_files -g \\\"*.lua(-.)\\\"\"' \\\n\t'*::argument:_files'\n", commandNames(list))
}

func zshOptions(b *strings.Builder, choices []flagChoice) {
	for _, c := range choices {
		value := ""
		if c.kind != "" {
			value = ":" + strings.ToLower(c.kind) + ":" + c.zshAction()
		}
		long := "--" + c.long
		switch {
		case c.optional:
			long += "=-"
			value = ":" + value
		case c.kind != "":
			long += "="
		}
		if c.repeated {
			long = "*" + long
		}
		if c.short == "" {
			fmt.Fprintf(b, "\t'%s[%s]%s' \\\n", long, c.text, value)
			continue
		}
		short := "-" + c.short
		if c.kind != "" {
			short += "+"
		}
		fmt.Fprintf(b, "\t'(-%s --%s)'{%s,%s}'[%s]%s' \\\n", c.short, c.long, short, long, c.text, value)
	}
}

func (c flagChoice) zshAction() string {
	switch {
	case c.words != nil:
		return "(" + strings.Join(c.words, " ") + ")"
	case c.directories():
		return "_files -/"
	case c.files():
		return "_files"
	case c.scripts():
		return `_files -g "*.lua(-.)"`
	case c.kind == "USER":
		return "_users"
	case c.kind == "GROUP":
		return "_groups"
	}
	return " "
}

// fishCompletion lists files by default, as fish does.
func fishCompletion(b *strings.Builder, choices []flagChoice, list []command) {
	b.WriteString(`# fish completion for mbserve, made by mbserve --completion fish
function __mbserve_command
	set -l words (commandline -opc)
	test (count $words) -gt 1; and contains -- $words[2] $argv
end
`)
	names := commandNames(list)
	fishOptions(b, "not __mbserve_command "+names, choices)
	for _, c := range list {
		fmt.Fprintf(b, "complete -c mbserve -n 'test (count (commandline -opc)) -eq 1' -a %s -d '%s'\n", c.name, c.text)
		fishOptions(b, "__mbserve_command "+c.name, c.choices)
	}
}

func fishOptions(b *strings.Builder, when string, choices []flagChoice) {
	for _, c := range choices {
		fmt.Fprintf(b, "complete -c mbserve -n '%s'", when)
		if c.short != "" {
			b.WriteString(" -s " + c.short)
		}
		fmt.Fprintf(b, " -l %s%s -d '%s'\n", c.long, c.fishAction(), c.text)
	}
}

func (c flagChoice) fishAction() string {
	switch {
	case c.kind == "" || c.optional:
		return ""
	case c.words != nil:
		return " -x -a '" + strings.Join(c.words, " ") + "'"
	case c.directories():
		return " -x -a '(__fish_complete_directories)'"
	case c.files(), c.scripts():
		return " -r -F"
	case c.kind == "USER":
		return " -x -a '(__fish_complete_users)'"
	case c.kind == "GROUP":
		return " -x -a '(__fish_complete_groups)'"
	}
	return " -x"
}
