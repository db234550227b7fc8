package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lives"
)

func psCommand(from *source.Source) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps [NAME]",
		Short: "Show the routes and services of the running watchdogd, or all about one",
		Example: `  watchdogd ps            a line for each
  watchdogd ps api        its instances, its last lives and the last lines of its output`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as described in docs/cli.md")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		if len(names) == 1 {
			return exit.Fail(psOne(cmd, running, names[0], asJSON))
		}
		var list []admin.Row
		if err := running.Get(cmd.Context(), "/v1/ps", &list); err != nil {
			return exit.Fail(err)
		}
		if asJSON {
			return exit.Fail(listing.JSON(cmd.OutOrStdout(), list))
		}
		return exit.Fail(writeTable(cmd.OutOrStdout(), list))
	}
	return cmd
}

// psOne prints all about one route or service.
func psOne(cmd *cobra.Command, running admin.Client, name string, asJSON bool) error {
	var of admin.Detail
	if err := running.Get(cmd.Context(), "/v1/ps/"+url.PathEscape(name), &of); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if asJSON {
		return listing.JSON(w, of)
	}
	if err := writeTable(w, []admin.Row{of.Row}); err != nil {
		return err
	}
	if of.Why != "" {
		fmt.Fprintf(w, "\nWhy: %s\n", of.Why)
	}
	if err := writeLives(w, of.Lives); err != nil {
		return err
	}
	return writeOutput(w, of.Output)
}

// writeLives is a line for each life of a process's instances, the latest first.
func writeLives(w io.Writer, all []lives.Life) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INSTANCE\tPID\tSTARTED\tENDED\tLASTED\tCALLS\tPEAK RSS\tREASON")
	for _, l := range all {
		end, lasted, peak := "-", time.Since(l.Started), "-"
		if l.Ended != nil {
			end, lasted = moment(*l.Ended), l.Ended.Sub(l.Started)
		}
		if l.Peak > 0 {
			peak = size(l.Peak)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Instance, or(number(l.PID), "-"), moment(l.Started), end, lasting(lasted), l.Calls, peak, or(l.Reason, "-"))
	}
	return t.Flush()
}

// writeOutput is the last lines that a process printed.
func writeOutput(w io.Writer, lines []child.Line) error {
	if len(lines) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nLast output:")
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "  %s [%d] %s\n", l.Time.Local().Format(time.TimeOnly), l.PID, printable(l.Text)); err != nil {
			return err
		}
	}
	return nil
}

// moment is a time of day, with the date when that is not today's.
func moment(t time.Time) string {
	t = t.Local()
	if now := time.Now(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// lasting is a duration as a person wants it: 12ms, 3.2s, 7m3s.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return span(d.Seconds())
}

// mostText is how much of a line of output is shown.
const mostText = 400

// printable is a line without what a terminal obeys, and not too long.
func printable(line string) string {
	line = strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, line)
	if n := []rune(line); len(n) > mostText {
		return string(n[:mostText]) + "..."
	}
	return line
}

// writeTable is a line for each route and service, and one more for each instance
// where there are several.
func writeTable(w io.Writer, list []admin.Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tMODE\tSTATE\tPID\tPORT\tUPTIME\tRESTARTS\tIN FLIGHT\tTOTAL\tRSS\tCPU\tWHY")
	for _, s := range list {
		var pid, port, uptime, rss, cpu string
		if len(s.Instances) == 1 && s.Instances[0].PID != 0 {
			i := s.Instances[0]
			pid, port, uptime, rss, cpu = number(i.PID), number(i.Port), span(i.Uptime), size(i.RSS), seconds(i.CPUSeconds)
		} else if len(s.Instances) > 1 {
			pid = fmt.Sprintf("(%d)", len(s.Instances))
		} else if s.Replicas != nil {
			pid = fmt.Sprintf("(%d/%d)", s.Tasks, *s.Replicas)
		}
		calls := strconv.Itoa(s.Inflight)
		if s.Queued > 0 {
			calls += "+" + strconv.Itoa(s.Queued) + " queued"
		}
		total := ""
		if s.Kind != supervisor.Service {
			total = strconv.FormatUint(s.Total, 10)
		} else {
			calls = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n",
			s.Name, or(string(s.Mode), string(s.Kind)), admin.StateText(s.Status), or(pid, "-"), or(port, "-"), or(uptime, "-"), s.Restarts, calls, or(total, "-"), or(rss, "-"), or(cpu, "-"), or(why(s.Status), "-"))
		if len(s.Endpoints) > 1 {
			for _, e := range s.Endpoints {
				fmt.Fprintf(t, "  %s\t\t%s\t-\t-\t\t\t%d\t\t\t\t%s\n", e.Address, e.State, e.Inflight, or(e.Reason, "-"))
			}
		}
		if len(s.Instances) > 1 {
			for _, i := range s.Instances {
				fmt.Fprintf(t, "  %d\t\t%s\t%s\t%s\t%s\t\t%d\t\t%s\t%s\t%s\n", i.Number, i.State, or(number(i.PID), "-"), or(number(i.Port), "-"), span(i.Uptime), i.Inflight, size(i.RSS), seconds(i.CPUSeconds), or(i.Reason, "-"))
			}
		}
	}
	return t.Flush()
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// span is a time since, as coarse as a person wants it: 42s, 7m3s, 5h2m, 3d4h.
func span(s float64) string {
	d := time.Duration(s * float64(time.Second)).Round(time.Second)
	switch {
	case d < time.Hour:
		return d.String()
	case d < 24*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 1, 64) + "s" }

// size is a number of bytes with a binary unit: 512B, 4.2MiB.
func size(n int64) string {
	const units = "KMGTP"
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f%ciB", value, units[unit])
}

// why is what explains a state best: its reason, else how the process ended last.
func why(s supervisor.Status) string {
	if s.Reason != "" && s.Reason != s.LastExit {
		return s.Reason
	}
	return s.LastExit
}
