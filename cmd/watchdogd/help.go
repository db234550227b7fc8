package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/reference"
	"github.com/watchdogd/watchdogd/docs"
	"github.com/watchdogd/watchdogd/schema"
)

func helpCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "help [COMMAND | errors[/NAME] | keys[/KEY]]",
		Short: "Explain a command, an error or a key of the file",
		Long: `Help explains a command; with errors/NAME an error that watchdogd answers itself, where
NAME is the end of the "type" of a problem+json (or all of it); and with keys/KEY a key of
the file. "help errors" and "help keys" list all of them.`,
		Example: `  watchdogd help restart
  watchdogd help errors/not-ready
  watchdogd help keys/routes.timeouts.queue
  watchdogd help keys/stop.drain`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as described in docs/cli.md")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		topic, name, one := strings.Cut(strings.Join(args, "/"), "/")
		out := cmd.OutOrStdout()
		switch {
		case strings.Contains(strings.Join(args, ""), "errors.md#"): // a whole type
			return helpError(out, args[0], asJSON)
		case topic == "errors" && one && name != "":
			return helpError(out, name, asJSON)
		case topic == "errors":
			return helpErrors(out, asJSON)
		case topic == "keys" && one && name != "":
			return helpKey(out, name, asJSON)
		case topic == "keys":
			return helpKeys(out, asJSON)
		}
		about, rest, err := cmd.Root().Find(args)
		if err != nil || about == nil || about == cmd.Root() && len(rest) > 0 {
			return exit.Misuse(fmt.Errorf("%w (\"watchdogd help\" lists the commands)", noSuchCommand(cmd.Root(), args)))
		}
		if asJSON {
			return exit.Fail(listing.JSON(out, describe(about)))
		}
		return exit.Fail(about.Help())
	}
	return cmd
}

// described is a command as help --json prints it.
type described struct {
	Name     string      `json:"name"` // "" is watchdogd itself
	Usage    string      `json:"usage"`
	Short    string      `json:"short"`
	Text     string      `json:"text"`
	Examples string      `json:"examples"`
	Flags    []flagHelp  `json:"flags"`
	Commands []described `json:"commands,omitempty"`
}

type flagHelp struct {
	Name    string `json:"name"`
	Short   string `json:"short"`
	Type    string `json:"type"`
	Default string `json:"default"`
	Text    string `json:"text"`
}

func describe(cmd *cobra.Command) described {
	d := described{Usage: cmd.UseLine(), Short: cmd.Short, Text: cmd.Long, Examples: cmd.Example, Flags: []flagHelp{}}
	if cmd.HasParent() {
		d.Name = cmd.Name()
	}
	cmd.InitDefaultHelpFlag()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			d.Flags = append(d.Flags, flagHelp{Name: f.Name, Short: f.Shorthand, Type: f.Value.Type(), Default: f.DefValue, Text: strings.ReplaceAll(f.Usage, "`", "")})
		}
	})
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			d.Commands = append(d.Commands, describe(c))
		}
	}
	return d
}

func helpErrors(out io.Writer, asJSON bool) error {
	all := reference.Problems(docs.Errors())
	if asJSON {
		return exit.Fail(listing.JSON(out, all))
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", p.Status, p.Name, p.Summary())
	}
	return exit.Fail(t.Flush())
}

func helpError(out io.Writer, name string, asJSON bool) error {
	p, err := reference.FindProblem(reference.Problems(docs.Errors()), name)
	if err != nil {
		return exit.Misuse(err)
	}
	if asJSON {
		return exit.Fail(listing.JSON(out, p))
	}
	_, err = fmt.Fprintf(out, "%s (status %s)\n\n%s\n", p.Name, p.Status, wrapped(p.Text))
	return exit.Fail(err)
}

func helpKeys(out io.Writer, asJSON bool) error {
	keys, err := reference.ReadKeys(schema.JSONSchema(), schema.Keys())
	if err != nil {
		return exit.Fail(err)
	}
	all := keys.All()
	if asJSON {
		return exit.Fail(listing.JSON(out, all))
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, k := range all {
		fmt.Fprintf(t, "%s\t%s\n", k.Path, k.Summary())
	}
	return exit.Fail(t.Flush())
}

func helpKey(out io.Writer, path string, asJSON bool) error {
	keys, err := reference.ReadKeys(schema.JSONSchema(), schema.Keys())
	if err != nil {
		return exit.Fail(err)
	}
	k, err := keys.Find(path)
	if err != nil {
		return exit.Misuse(err)
	}
	if asJSON {
		return exit.Fail(listing.JSON(out, k))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\nType:     %s\n", k.Path, wrapped(k.Description), k.Type)
	if k.Default != nil {
		fmt.Fprintf(&b, "Default:  %v\n", k.Default)
	}
	if len(k.Modes) > 0 {
		fmt.Fprintf(&b, "Modes:    %s\n", strings.Join(k.Modes, ", "))
	}
	for i, e := range k.Examples {
		what := "Example:"
		if i > 0 {
			what = "or:"
		}
		fmt.Fprintf(&b, "\n%s\n\n  %s\n", what, strings.ReplaceAll(e, "\n", "\n  "))
	}
	if len(k.Keys) > 0 {
		fmt.Fprintf(&b, "\nKeys:\n\n")
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, name := range k.Keys {
			if inner, err := keys.Find(k.Path + "." + name); err == nil {
				fmt.Fprintf(t, "  %s\t%s\n", name, inner.Summary())
			}
		}
		_ = t.Flush() // to memory
	}
	_, err = io.WriteString(out, b.String())
	return exit.Fail(err)
}

// wrapped breaks the lines of a text at spaces, at 90 characters.
func wrapped(text string) string {
	const width = 90
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		indent := ""
		if strings.HasPrefix(line, "- ") {
			indent = "  "
		}
		column := 0
		for j, word := range strings.Fields(line) {
			switch n := len([]rune(word)); {
			case j == 0:
			case column+1+n > width:
				b.WriteString("\n" + indent)
				column = len(indent)
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len([]rune(word))
		}
	}
	return b.String()
}
