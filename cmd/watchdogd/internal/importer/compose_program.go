package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// command finds what the container would start: entrypoint and command, or what the
// Dockerfile of build says.
func (c *composeFile) command(p *program, o object) error {
	entry, err := c.words(o["entrypoint"])
	if err != nil {
		return fmt.Errorf("entrypoint: %w", err)
	}
	command, err := c.words(o["command"])
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	folder, image, why := c.built(p, o)
	if folder != "" {
		p.dir = folder
	}
	switch {
	case len(entry) > 0:
		p.words = append(entry, command...)
	case len(command) > 0 && image != nil && len(image.entry.words) > 0:
		p.words = append(slices.Clone(image.entry.words), command...)
	case len(command) > 0 && strings.HasPrefix(command[0], "-"):
		p.dead = fmt.Sprintf("its command, %s, is only arguments for what the image %s starts; run it with docker compose up %s", strings.Join(command, " "), c.resolved(o.text("image"), c.env), p.name)
		return nil
	case len(command) > 0:
		p.words = command
	case image != nil && image.Line != "":
		image.Here()
		p.line = image.Line
		return nil
	case image != nil && len(image.Words) > 0:
		image.Here()
		p.words = image.Literals()
		return nil
	default:
		if o["image"] != nil {
			why = fmt.Sprintf("the file has no command for it, so the image %s decides what is started; run it with docker compose up %s", c.resolved(o.text("image"), c.env), p.name)
		}
		p.dead = or(why, "it has neither a command nor an image")
		return nil
	}
	for n, w := range p.words {
		p.words[n] = c.value(p, w)
	}
	return nil
}

// built reads the Dockerfile that a service is built of: the folder, and how the image is
// started, or why that is not known.
func (c *composeFile) built(p *program, o object) (folder string, image *Image, why string) {
	if o["build"] == nil {
		return "", nil, ""
	}
	context, file, target := c.resolved(o.text("build"), c.env), "Dockerfile", ""
	if build := o.object("build"); build != nil {
		context, target = c.resolved(build.text("context"), c.env), build.text("target")
		file = or(c.resolved(build.text("dockerfile"), c.env), file)
		if inline := build.text("dockerfile_inline"); inline != "" {
			image, err := Dockerfile([]byte(inline), target)
			if err != nil {
				return context, nil, "build.dockerfile_inline: " + err.Error()
			}
			return context, image, "its Dockerfile has no CMD, so its base image decides what is started"
		}
	}
	if strings.Contains(context, "://") || strings.HasPrefix(context, "git@") {
		return "", nil, "it is built from " + context + ", which is not here"
	}
	if !filepath.IsAbs(context) {
		context = filepath.Join(c.source.dir, context)
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(context, file)
	}
	text := guess.Read(file)
	if text == nil {
		return context, nil, fmt.Sprintf("it has only build:, and there is no %s that says what is started; set fprocess to the command", c.placeFile(file))
	}
	image, err := Dockerfile(text, target)
	if err != nil {
		return context, nil, c.placeFile(file) + ": " + err.Error()
	}
	for _, key := range image.Env {
		if key.Name != "PATH" {
			p.env = p.env.With(key.Name, key.Value)
		}
	}
	if known, ok := signal(image.Signal); ok && known != "TERM" {
		p.stop("signal", known)
	}
	return context, image, c.placeFile(file) + " has no CMD, so its base image decides what is started"
}

func (c *composeFile) environment(p *program, env object) {
	for _, name := range env.keys() {
		if env[name] == nil {
			continue // the program inherits it
		}
		p.env = p.env.With(name, c.value(p, scalar(env[name])))
	}
}

func (c *composeFile) envFile(p *program, files []any) {
	for _, file := range files {
		path, required := scalar(file), true
		if o := asObject(file); o != nil {
			path, required = o.text("path"), o.text("required") != "false"
		}
		path = c.resolved(path, c.env)
		absolute := path
		if !filepath.IsAbs(path) {
			absolute = filepath.Join(c.source.dir, path)
		}
		if !required && guess.Read(absolute) == nil {
			p.lose("env_file "+path, "the file is not there, and env_file has no optional files")
			continue
		}
		p.envFiles = append(p.envFiles, c.placeFile(absolute))
	}
}

// workingDir finds the folder of this machine that stands for one of the container.
func (c *composeFile) workingDir(p *program, dir string, o object) {
	for _, volume := range list(o["volumes"]) {
		from, to := "", ""
		if m := asObject(volume); m != nil {
			from, to = m.text("source"), m.text("target")
		} else {
			from, to, _ = strings.Cut(c.resolved(scalar(volume), c.env), ":")
			to, _, _ = strings.Cut(to, ":")
		}
		if !strings.HasPrefix(from, ".") && !strings.HasPrefix(from, "/") {
			continue
		}
		if inside, ok := strings.CutPrefix(dir+"/", strings.TrimSuffix(to, "/")+"/"); ok && to != "" {
			p.dir = filepath.Join(from, inside)
			if !filepath.IsAbs(from) {
				p.dir = filepath.Join(c.source.dir, from, inside)
			}
			return
		}
	}
	if o["build"] == nil {
		p.lose("working_dir: "+dir, "it is a folder of the container; set dir: to one of this machine")
	}
}

// healthcheck makes readiness of a health check, which compose only uses for depends_on.
func (c *composeFile) healthcheck(p *program, o object) {
	if o.text("disable") == "true" {
		return
	}
	test := texts(list(o["test"]))
	switch {
	case len(test) == 0 || test[0] == "NONE":
		return
	case test[0] == "CMD":
		test = test[1:]
		for n, w := range test {
			test[n] = c.value(p, w)
		}
	case test[0] == "CMD-SHELL":
		test = c.shellWords(p, strings.Join(test[1:], " "))
	default:
		test = c.shellWords(p, test[0])
	}
	if len(test) == 0 {
		return
	}
	probe := draft.Ordered{{Name: "exec", Value: test}}
	for _, part := range []string{"interval", "timeout"} {
		if value, ok := goDuration(c.resolved(o.text(part), c.env)); ok && value != "0s" && o.text(part) != "" {
			probe = probe.With(part, value)
		}
	}
	if n, ok := o.number("retries"); ok && n > 0 {
		probe = probe.With("failures", n)
	}
	p.set("ready", probe)
	if start, ok := goDuration(c.resolved(o.text("start_period"), c.env)); ok && start != "0s" && o.text("start_period") != "" {
		p.set("timeouts", draft.Ordered{{Name: "start", Value: start}})
	}
}

// shellWords are the words of a line that may need a shell.
func (c *composeFile) shellWords(p *program, line string) []string {
	if words, env, plain := draft.Words(c.resolved(line, c.env)); plain && len(env) == 0 {
		return words
	}
	return []string{"sh", "-c", c.value(p, line)}
}
