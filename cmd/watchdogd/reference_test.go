package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/reference"
	"github.com/watchdogd/watchdogd/docs"
	"github.com/watchdogd/watchdogd/schema"
)

var updateFlag = flag.Bool("update", false, "write what is made from the program: docs/reference.md and docs/terminal.svg")

// docs/reference.md is written by this test with -update ("make docs"), so it has every
// command, flag, key, error and metric, and nothing that is gone.
func TestTheReferenceIsWhatTheProgramHas(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("some metrics exist on Linux only")
	}
	var b strings.Builder
	b.WriteString(`# Reference

<!-- Made by "make docs": edit the program, not this page. -->

Lists made from the program: [commands](#commands), [keys](#keys), [errors](#errors) and [metrics](#metrics). The pages that explain them are
[cli.md](cli.md), [configuration.md](configuration.md), [errors.md](errors.md) and [metrics.md](metrics.md). The program
prints the same: ` + "`watchdogd help run`, `watchdogd help keys/stop.drain`, `watchdogd help errors/not-ready`" + `.

`)
	writeCommands(&b)
	writeKeys(t, &b)
	writeErrors(&b)
	writeMetrics(t, &b)
	generated(t, "docs/reference.md", b.String())
}

// generated compares a file of the repository with what it should be, or writes it with -update.
func generated(t *testing.T, name, want string) {
	t.Helper()
	file := filepath.Join("..", "..", filepath.FromSlash(name))
	if *updateFlag {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	have, need := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for i := 0; ; i++ {
		if i >= len(have) || i >= len(need) || have[i] != need[i] {
			t.Fatalf("%s:%d: got\n%s\nwant\n%s\nRun \"make docs\" to write it.", name, i+1, strings.Join(have[min(i, len(have)):min(i+2, len(have))], "\n"), strings.Join(need[min(i, len(need)):min(i+2, len(need))], "\n"))
		}
	}
}

func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

func writeCommands(b *strings.Builder) {
	b.WriteString("## Commands\n\n| command | what it does |\n| --- | --- |\n")
	root := commands()
	root.InitDefaultHelpCmd()
	all := append([]*cobra.Command{root}, available(root)...)
	for _, c := range all {
		fmt.Fprintf(b, "| [`%s`](#%s) | %s |\n", cell(c.UseLine()), anchor(c), cell(c.Short))
	}
	fmt.Fprintf(b, "\nEvery command has these flags:\n\n")
	writeFlags(b, root.PersistentFlags())
	for _, c := range all {
		fmt.Fprintf(b, "### %s\n\n%s.\n\n", c.CommandPath(), c.Short)
		if flags := c.LocalNonPersistentFlags(); flags.HasAvailableFlags() {
			writeFlags(b, flags)
		}
		if c.Example != "" {
			fmt.Fprintf(b, "```text\n%s\n```\n\n", unindented(c.Example))
		}
	}
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func available(root *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *cobra.Command) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func writeFlags(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | default | meaning |\n| --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		standard := f.DefValue
		if standard == "false" || standard == "" || standard == "[]" || standard == "0" && value == "" {
			standard = ""
		} else {
			standard = "`" + standard + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", cell(name), standard, cell(usage))
	})
	b.WriteString("\n")
}

func writeKeys(t *testing.T, b *strings.Builder) {
	t.Helper()
	keys, err := reference.ReadKeys(schema.JSONSchema(), schema.Keys())
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString("## Keys\n\n`routes.` is left out where a service has the key too: `stop.drain` is `routes.stop.drain`.\n\n| key | type | default | modes | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, k := range keys.All() {
		standard := ""
		if k.Default != nil {
			standard = fmt.Sprintf("`%v`", k.Default)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.Path, cell(k.Type), cell(standard), strings.Join(k.Modes, ", "), cell(k.Description))
	}
	b.WriteString("\n")
}

func writeErrors(b *strings.Builder) {
	b.WriteString("## Errors\n\n| status | name | meaning |\n| --- | --- | --- |\n")
	all := reference.Problems(docs.Errors())
	slices.SortStableFunc(all, func(a, b reference.Problem) int { return strings.Compare(a.Status, b.Status) })
	for _, p := range all {
		fmt.Fprintf(b, "| %s | [`%s`](errors.md#%s) | %s |\n", p.Status, p.Name, p.Name, cell(p.Summary()))
	}
	b.WriteString("\n")
}

func writeMetrics(t *testing.T, b *strings.Builder) {
	t.Helper()
	b.WriteString("## Metrics\n\n| metric | type | meaning |\n| --- | --- | --- |\n")
	kinds, help := map[string]string{}, map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(exposition(t))); lines.Scan(); {
		words := strings.SplitN(lines.Text(), " ", 4)
		switch {
		case len(words) < 4 || words[0] != "#":
		case words[1] == "HELP":
			help[words[2]] = words[3]
		case words[1] == "TYPE":
			kinds[words[2]] = words[3]
		}
	}
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		if help[name] == "" {
			t.Errorf("%s: got no HELP, want one", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kinds[name], cell(strings.TrimSuffix(help[name], ".")))
	}
}

// docs/cli.md explains every command, and no other one; and every flag that it names exists.
func TestEveryCommandIsDocumentedAndExists(t *testing.T) {
	page := document(t, "docs/cli.md")
	root := commands()
	root.InitDefaultHelpCmd()
	flags := map[string]bool{"--help": true, "--version": true}
	note := func(f *pflag.Flag) { flags["--"+f.Name] = true }
	root.PersistentFlags().VisitAll(note)
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `watchdogd (?:\\[?)([a-z]+)").FindAllStringSubmatch(page, -1) {
		documented[row[1]] = true
	}
	for _, c := range append([]*cobra.Command{root}, available(root)...) {
		c.Flags().VisitAll(note)
		if c != root && !documented[c.Name()] {
			t.Errorf("docs/cli.md has no row for watchdogd %s, want one", c.Name())
		}
		delete(documented, c.Name())
	}
	for name := range documented {
		t.Errorf("docs/cli.md has a row for watchdogd %s: want a command of that name", name)
	}
	for _, m := range regexp.MustCompile("(?:^|[` \\[(])(--[a-z][a-z-]+)").FindAllStringSubmatch(page, -1) {
		if !flags[m[1]] {
			t.Errorf("docs/cli.md names %s: want a flag of that name", m[1])
		}
	}
}

// Every "watchdogd COMMAND --flag" in a document is one that the program would take.
func TestTheCommandsInTheDocumentsExist(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, more...), "../../README.md", "../../examples/README.md", "../../llms.txt")
	written := regexp.MustCompile("(?m)(?:^ {4}|^\\$ |`|&& |\\| |sudo |exec )watchdogd((?: [^`|;&>\\n()#]+)?)")
	found := 0
	for _, file := range files {
		for _, m := range written.FindAllStringSubmatch(readFile(t, file), -1) {
			line := strings.TrimRight(strings.TrimSpace(m[1]), "'")
			if line == "restrt" || filepath.Base(file) == "reference.md" { // wrong on purpose; made from the program
				continue
			}
			if strings.ContainsAny(line, "[…") || strings.Contains(line, "...") { // how it is used in general
				continue
			}
			found++
			if err := wouldTake(strings.Fields(line)); err != nil {
				t.Errorf("%s: watchdogd %s: %v", file, line, err)
			}
		}
	}
	if found < 100 {
		t.Errorf("got %d commands, want 100 or more", found)
	}
}

func wouldTake(words []string) error {
	root := commands()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if len(rest) > 0 && cmd == root && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("no such command")
	}
	return cmd.ParseFlags(rest)
}

func TestWrongCommandsInDocumentsAreFound(t *testing.T) {
	for line, want := range map[string]bool{"": true, "ps --json": true, "-c x.yaml ps": true, "ps --jsn": false, "restrt api": false, "run -d": true, "run -- npm run dev": true} {
		if err := wouldTake(strings.Fields(line)); (err == nil) != want {
			t.Errorf("watchdogd %s: got %v, want it to be right: %v", line, err, want)
		}
	}
}
