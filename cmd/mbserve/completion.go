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
var shells = map[string]func(*strings.Builder, []flagChoice){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}

// flagWords are the values of options that have a few fixed ones.
var flagWords = map[string][]string{
	"log-format":    {string(logText), string(logJSON), string(logPlain)},
	"access-format": {string(accessCombined), string(accessJSON)},
	"scheduling":    {string(schedulingBatch), string(schedulingNormal)},
	"logfacility":   slices.Sorted(maps.Keys(facilities)),
	"completion":    slices.Sorted(maps.Keys(shells)),
}

// flagChoice is an option as the shells see it.
type flagChoice struct {
	long, short string
	text        string   // what it does, in a few words
	kind        string   // what it takes: "" nothing, else the name of its value in the help
	words       []string // its values, if they are few
	optional    bool     // its value may be missing, and follows "="
}

// completion writes the script that has a shell complete the options of mbserve.
func completion(shell string, w io.Writer) {
	var choices []flagChoice
	new(options).flags().VisitAll(func(f *pflag.Flag) { choices = append(choices, choiceOf(f)) })
	var b strings.Builder
	shells[shell](&b, choices)
	io.WriteString(w, b.String())
}

func choiceOf(f *pflag.Flag) flagChoice {
	kind, text := pflag.UnquoteUsage(f)
	c := flagChoice{long: f.Name, short: f.Shorthand, text: shortened(text), words: flagWords[f.Name]}
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

// files and directories report what the value of an option is.
func (c flagChoice) files() bool       { return c.kind == "FILE" || c.kind == "PATH" }
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
	case c.kind == "USER":
		return "-u"
	case c.kind == "GROUP":
		return "-g"
	}
	return ""
}

// bashCompletion looks for the script in the words before the cursor: options come before it, and what follows it belongs to it.
// The values of the options are skipped in that search.
func bashCompletion(b *strings.Builder, choices []flagChoice) {
	var all, valued []string
	actions := make(map[string][]string) // options by what completes their values
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
	fmt.Fprintf(b, `# bash completion for mbserve, made by mbserve --completion bash
_mbserve() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
	compopt -o filenames 2>/dev/null
	COMPREPLY=()
	[ "$prev" = = ] && prev=${COMP_WORDS[COMP_CWORD-2]}
	[ "$cur" = = ] && prev=${COMP_WORDS[COMP_CWORD-1]} && cur=
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		%s) ((i++)); [ "${COMP_WORDS[i]}" = = ] && ((i++)) ;;
		--) ;;
		-*) [ "${COMP_WORDS[i+1]}" = = ] && ((i += 2)) ;;
		=) ;;
		*) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
		esac
	done
	case $prev in
`, strings.Join(valued, "|"))
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		fmt.Fprintf(b, "\t%s) %sreturn ;;\n", strings.Join(actions[action], "|"), bashReply(action))
	}
	fmt.Fprintf(b, `	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W '%s' -- "$cur") ;;
	*) mapfile -t COMPREPLY < <(compgen -f -X '!*.lua' -- "$cur"; compgen -d -- "$cur") ;;
	esac
}
complete -F _mbserve mbserve
`, strings.Join(all, " "))
}

func bashReply(action string) string {
	if action == "" {
		return ""
	}
	return "mapfile -t COMPREPLY < <(compgen " + action + ` -- "$cur"); `
}

// zshCompletion leaves the rules to _arguments.
func zshCompletion(b *strings.Builder, choices []flagChoice) {
	b.WriteString("#compdef mbserve\n# zsh completion for mbserve, made by mbserve --completion zsh\n_arguments -s -S \\\n")
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
	b.WriteString("\t'1:script:_files -g \"*.lua(-.)\"' \\\n\t'*::argument:_files'\n")
}

func (c flagChoice) zshAction() string {
	switch {
	case c.words != nil:
		return "(" + strings.Join(c.words, " ") + ")"
	case c.directories():
		return "_files -/"
	case c.files():
		return "_files"
	case c.kind == "USER":
		return "_users"
	case c.kind == "GROUP":
		return "_groups"
	}
	return " "
}

// fishCompletion lists files by default, as fish does.
func fishCompletion(b *strings.Builder, choices []flagChoice) {
	b.WriteString("# fish completion for mbserve, made by mbserve --completion fish\n")
	for _, c := range choices {
		b.WriteString("complete -c mbserve")
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
	case c.files():
		return " -r -F"
	case c.kind == "USER":
		return " -x -a '(__fish_complete_users)'"
	case c.kind == "GROUP":
		return " -x -a '(__fish_complete_groups)'"
	}
	return " -x"
}
