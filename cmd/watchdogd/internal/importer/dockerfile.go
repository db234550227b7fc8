package importer

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
)

// Image is what a Dockerfile says about how its last stage is started.
type Image struct {
	Words  []string // the exec form of ENTRYPOINT and CMD, as written; or
	Line   string   // their shell form
	Env    draft.Ordered
	Dir    string // WORKDIR
	Expose int    // the first port; 0 is none
	User   string
	Signal string // STOPSIGNAL

	entry, command form
}

// form is a command in one of its two forms.
type form struct {
	words []string
	line  string
}

// Dockerfile reads a Dockerfile: its last stage, or the one named target. Nothing is
// built; variables that ARG sets are replaced where they have a default.
func Dockerfile(text []byte, target string) (*Image, error) {
	stages := map[string]*Image{}
	args := map[string]string{}
	var now *Image
	name := ""
	for _, line := range instructions(string(text)) {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if strings.EqualFold(word, "FROM") {
			if target != "" && name == target {
				break
			}
			base, stage := fromOf(rest)
			name, now = stage, &Image{}
			if earlier := stages[strings.ToLower(base)]; earlier != nil {
				copied := *earlier
				copied.Env = append(draft.Ordered{}, earlier.Env...)
				now = &copied
			}
			if stage != "" {
				stages[strings.ToLower(stage)] = now
			}
			continue
		}
		if strings.EqualFold(word, "ARG") {
			if key, value, ok := strings.Cut(rest, "="); ok {
				args[key] = strings.Trim(value, `"'`)
			}
			continue
		}
		if now == nil {
			continue
		}
		now.instruction(strings.ToUpper(word), rest, args)
	}
	if now == nil {
		return nil, fmt.Errorf("it has no FROM")
	}
	now.finish()
	return now, nil
}

// fromOf is the image of a FROM line, and the name of its stage.
func fromOf(rest string) (base, stage string) {
	var words []string
	for word := range strings.FieldsSeq(rest) {
		if !strings.HasPrefix(word, "--") {
			words = append(words, word)
		}
	}
	if len(words) == 3 && strings.EqualFold(words[1], "AS") {
		return words[0], words[2]
	}
	if len(words) > 0 {
		return words[0], ""
	}
	return "", ""
}

// instructions are the lines of a Dockerfile with what continues them, without comments.
func instructions(text string) (all []string) {
	var line strings.Builder
	for part := range strings.Lines(text) {
		part = strings.TrimSpace(part)
		if part == "" || strings.HasPrefix(part, "#") {
			continue
		}
		if rest, more := strings.CutSuffix(part, `\`); more {
			line.WriteString(rest + " ")
			continue
		}
		line.WriteString(part)
		all = append(all, strings.TrimSpace(line.String()))
		line.Reset()
	}
	if line.Len() > 0 {
		all = append(all, strings.TrimSpace(line.String()))
	}
	return all
}

func (i *Image) instruction(word, rest string, args map[string]string) {
	switch word {
	case "CMD":
		i.command = formOf(rest)
	case "ENTRYPOINT":
		i.entry, i.command = formOf(rest), form{}
	case "WORKDIR":
		if !path.IsAbs(rest) {
			rest = path.Join("/", i.Dir, rest)
		}
		i.Dir = i.replaced(rest, args)
	case "EXPOSE":
		first, _, _ := strings.Cut(rest, " ")
		port, _, _ := strings.Cut(i.replaced(first, args), "/")
		if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 65536 && i.Expose == 0 {
			i.Expose = n
		}
	case "USER":
		i.User = rest
	case "STOPSIGNAL":
		i.Signal = rest
	case "ENV":
		i.env(rest, args)
	}
}

// env reads ENV A=1 B="2 3", and the old form ENV A 1.
func (i *Image) env(rest string, args map[string]string) {
	first, value, _ := strings.Cut(rest, " ")
	if !strings.Contains(first, "=") {
		if first != "" {
			i.Env = i.Env.With(first, draft.Literal(i.replaced(strings.TrimSpace(value), args)))
		}
		return
	}
	words, err := shlex(rest)
	if err != nil {
		return
	}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok && key != "" {
			i.Env = i.Env.With(key, draft.Literal(i.replaced(value, args)))
		}
	}
}

// replaced is s with the variables that ENV and ARG have set.
func (i *Image) replaced(s string, args map[string]string) string {
	return variable().ReplaceAllStringFunc(s, func(match string) string {
		at := variable().FindStringSubmatchIndex(match)
		name := group(match, at, 1) + group(match, at, 4)
		for _, key := range i.Env {
			if key.Name == name {
				return strings.ReplaceAll(scalar(key.Value), "$$", "$")
			}
		}
		if value, ok := args[name]; ok {
			return value
		}
		if strings.HasSuffix(group(match, at, 2), "-") {
			return group(match, at, 3)
		}
		return ""
	})
}

func formOf(rest string) form {
	var words []string
	if strings.HasPrefix(rest, "[") && json.Unmarshal([]byte(rest), &words) == nil {
		return form{words: words}
	}
	return form{line: rest}
}

// finish joins ENTRYPOINT and CMD as Docker does.
func (i *Image) finish() {
	switch {
	case i.entry.line != "":
		i.Line = i.entry.line
	case i.entry.words != nil && i.command.words != nil:
		i.Words = append(append([]string{}, i.entry.words...), i.command.words...)
	case i.entry.words != nil && i.command.line != "":
		i.Words = append(append([]string{}, i.entry.words...), "/bin/sh", "-c", i.command.line)
	case i.entry.words != nil:
		i.Words = i.entry.words
	case i.command.line != "":
		i.Line = i.command.line
	default:
		i.Words = i.command.words
	}
}

// Here makes the command one for the folder that the image is built of: paths in
// WORKDIR become relative.
func (i *Image) Here() {
	if i.Dir == "" || i.Dir == "/" {
		return
	}
	for n, w := range i.Words {
		if inside, ok := strings.CutPrefix(w, i.Dir+"/"); ok {
			i.Words[n] = "./" + inside
		}
	}
	i.Line = strings.ReplaceAll(i.Line, i.Dir+"/", "./")
}

// Literals are the words of the command as watchdog.yaml has them.
func (i *Image) Literals() []string {
	var words []string
	for _, w := range i.Words {
		words = append(words, draft.Literal(w))
	}
	return words
}

// Empty reports whether the Dockerfile says nothing on how its image is started.
func (i *Image) Empty() bool { return len(i.Words) == 0 && i.Line == "" }
