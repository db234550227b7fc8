package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/export"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
)

func exportCommand(from *source.Source) *cobra.Command {
	var o export.Options
	var out, replicas string
	cmd := &cobra.Command{
		Use:       "export " + strings.Join(export.Engines(), "|"),
		Short:     "Write the manifests by which an engine runs the file",
		ValidArgs: export.Engines(),
		Long: `Export writes the file as manifests of a container engine, a cluster or systemd, to stdout
or into a folder. The layout "bundle" is one container with everything; "split" is a
container for each route, from the same image, and a gateway in front of them.

Every manifest gives watchdogd the same time to stop: drain.delay, the longest of
timeouts.exec and drain.timeout, stop.grace and 2s. What the engine has no equivalent for is
a comment at the head of the manifest, and a line on stderr. The values of ${VARIABLES} are
not written: a variable without a default comes from a secret of the engine.`,
		Example: `  watchdogd export kubernetes --image registry.example/shop:1.4 --replicas 2 | kubectl apply -f -
  watchdogd export swarm --image registry.example/shop:1.4 --layout split --out deploy`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Layout, "layout", export.Bundle, "`bundle` or split")
	flags.StringVar(&o.Image, "image", "", "the `image`, which holds watchdogd and the programs (default NAME:latest)")
	flags.StringVar(&o.Program, "program", "watchdogd", "watchdogd in the image, a name in its `PATH` or a path; for systemd a path, by default of this program")
	flags.StringVar(&o.Folder, "folder", "/app", "the `folder` of the file in the image")
	flags.StringVar(&replicas, "replicas", "1", "how many containers, a `number` or MIN:MAX where the engine scales")
	flags.StringVar(&o.Scaler, "scaler", export.HPA, "with --replicas MIN:MAX, what scales on kubernetes: `hpa` (CPU) or keda (calls in flight)")
	flags.StringVar(&o.Namespace, "namespace", "default", "the `namespace` of kubernetes, for addresses between services")
	flags.StringVar(&o.Publish, "publish", export.Ingress, "the port on swarm: `ingress` or host")
	flags.StringVar(&o.Update, "update", export.StartFirst, "an update on swarm: `start-first` or stop-first")
	flags.StringVarP(&out, "out", "o", "", "write the files into this `folder` instead of to stdout")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if o.Min, o.Max, err = parseReplicas(replicas); err != nil {
			return exit.Misuse(err)
		}
		return runExport(cmd, from, args[0], o, out)
	}
	return cmd
}

// parseReplicas reads N or MIN:MAX.
func parseReplicas(s string) (least, most int, err error) {
	low, high, ranged := strings.Cut(s, ":")
	if !ranged {
		high = low
	}
	least, err = strconv.Atoi(low)
	if err == nil {
		most, err = strconv.Atoi(high)
	}
	if err != nil || least < 1 || most < least || most > 10000 {
		return 0, 0, fmt.Errorf("--replicas %q: write a number from 1 to 10000, or MIN:MAX", s)
	}
	return least, most, nil
}

func runExport(cmd *cobra.Command, from *source.Source, engine string, o export.Options, out string) error {
	file, err := from.Find()
	if err != nil {
		return exit.Fail(err)
	}
	if file == "" {
		return exit.Fail(errors.New("the configuration comes from the environment, which the image carries already; write a file with \"watchdogd migrate\" to export it"))
	}
	app, err := export.Load(file, os.LookupEnv)
	if err != nil {
		return exit.Fail(err)
	}
	if o, err = o.Complete(app.Config.Name); err != nil {
		return exit.Misuse(err)
	}
	if o.Here, err = os.Executable(); err != nil {
		return exit.Fail(err)
	}
	if out != "" {
		if o.Out, err = filepath.Abs(out); err != nil {
			return exit.Fail(err)
		}
	}
	files, notes, err := export.Write(engine, app, o)
	if err != nil {
		return exit.Fail(fmt.Errorf("export %s: %w", engine, err))
	}
	for _, note := range notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: %s\n", note)
	}
	if out == "" {
		return exit.Fail(printFiles(cmd.OutOrStdout(), files))
	}
	return exit.Fail(writeFiles(cmd.ErrOrStderr(), out, files))
}

// printFiles writes all files to w; where there are several, each after a comment with
// its name.
func printFiles(w io.Writer, files []export.File) error {
	for _, f := range files {
		if len(files) > 1 {
			if _, err := fmt.Fprintf(w, "# ---- %s ----\n", f.Name); err != nil {
				return err
			}
		}
		if _, err := w.Write(f.Content); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes all files into a folder, or none: a file that exists with another
// content is not overwritten.
func writeFiles(w io.Writer, folder string, files []export.File) error {
	for _, f := range files {
		path := filepath.Join(folder, filepath.FromSlash(f.Name))
		if had, err := os.ReadFile(path); err == nil && string(had) != string(f.Content) {
			return fmt.Errorf("%s exists and differs from what would be written; remove it, or name another folder with --out", path)
		}
	}
	for _, f := range files {
		path := filepath.Join(folder, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := f.Mode
		if mode == 0 {
			mode = 0o644
		}
		if err := os.WriteFile(path, f.Content, mode); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "wrote %s\n", path); err != nil {
			return err
		}
	}
	return nil
}
