package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/owner"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema"
)

// How a command finds the watchdogd that serves its file. That one's socket is in a folder
// of its user, which depends on the environment that it was started in, under a name
// that depends on its name and on the way to its file. A command may have another
// environment, another way and another user, so it looks in all places in order, and
// asks each watchdogd that it finds for its file.

// ErrNone is wrapped by the error of Find if no watchdogd serves the configuration.
var ErrNone = errors.New("no watchdogd serves")

// At returns a client of the watchdogd whose admin socket is at path.
func At(path string) Client { return Client{address: "unix:" + path} }

// Find returns a client of the watchdogd that serves the configuration of from. It prints to
// stderr whose that is, where it is another user's.
func Find(from *source.Source, stderr io.Writer) (Client, error) {
	if from.Admin != "" {
		return reach(from.Admin)
	}
	cfg, _, err := from.Load()
	if err == nil {
		return FindFor(cfg, stderr)
	}
	standing := drafted() // such as that of watchdogd try
	if !errors.Is(err, source.ErrNone) {
		standing = unread(from)
	}
	if standing == nil {
		return Client{}, err
	}
	found, other := FindFor(standing, stderr)
	if none, is := errors.AsType[*noneError](other); is && errors.Is(err, source.ErrNone) && len(none.others) > 0 {
		return Client{}, fmt.Errorf("%w; %s", err, none.running())
	}
	if other != nil {
		return Client{}, err
	}
	if _, mistakes := errors.AsType[schema.Problems](err); mistakes {
		fmt.Fprintf(stderr, "watchdogd: %s has mistakes now, which watchdogd validate lists; this is the stack that was started from it before\n", standing.File)
	}
	return found, nil
}

// unread is what a stack is found by whose file cannot be read as it is now: it was edited or
// removed since, or needs a variable that the command does not have. It is nil for an environment.
func unread(from *source.Source) *schema.Config {
	file, err := from.Find()
	if err != nil || file == "" {
		return nil
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil
	}
	cfg := &schema.Config{Name: schema.NameOf(filepath.Base(filepath.Dir(file))), File: file}
	text, err := regular.ReadFile(file)
	if err != nil {
		return cfg
	}
	if alone, err := schema.Parse(file, adminAlone(text), os.LookupEnv); err == nil {
		cfg.Admin = alone.Admin
	}
	return cfg
}

// adminAlone is a valid file with the key admin of text, and nothing else of it.
func adminAlone(text []byte) []byte {
	alone, inside := []byte("routes: [{name: none, mode: static, root: .}]\n"), false
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 && !strings.ContainsRune(" \t#", rune(line[0])) {
			inside = bytes.HasPrefix(line, []byte("admin:"))
		}
		if inside {
			alone = append(alone, line...)
		}
	}
	return alone
}

// TokenVariable names the variable that has the token for an address that is not taken from a
// configuration.
const TokenVariable = "WATCHDOG_ADMIN_TOKEN"

// reach returns a client of the watchdogd at an address, as of another machine.
func reach(address string) (Client, error) {
	a := Client{address: address, token: os.Getenv(TokenVariable)}
	_, err := a.Info()
	switch {
	case errors.Is(err, errToken) && a.token == "":
		return a, fmt.Errorf("the watchdogd at %s requires a token: set %s to its admin.token", address, TokenVariable)
	case errors.Is(err, errToken):
		return a, fmt.Errorf("the watchdogd at %s: %w in %s; it has to be its admin.token", address, err, TokenVariable)
	case err != nil:
		return a, fmt.Errorf("no watchdogd answers at %s: %w", address, err)
	}
	return a, nil
}

// drafted is the configuration of a stack of this folder that has no file.
func drafted() *schema.Config {
	file, err := filepath.Abs(source.DefaultFile)
	if err != nil {
		return &schema.Config{}
	}
	return &schema.Config{Name: schema.NameOf(filepath.Base(filepath.Dir(file))), File: file}
}

// FindFor is Find for a configuration that has been read.
func FindFor(cfg *schema.Config, stderr io.Writer) (found Client, err error) {
	if cfg.Admin.Listen != "" {
		found, err = configuredStack(cfg)
	} else {
		found, err = findStack(cfg)
	}
	if err != nil {
		return Client{}, err
	}
	if os.Geteuid() == 0 && found.uid > 0 {
		fmt.Fprintf(stderr, "watchdogd: %s is served by %s\n", source.Origin(cfg), owner.Name(found.uid))
	}
	return found, nil
}

// OfItself returns the error of a watchdogd whose port is in use, which is another one if the
// watchdogd that has the port serves the same file.
func OfItself(cfg *schema.Config, err error) error {
	taken, is := errors.AsType[*listen.InUse](err)
	if !is {
		return err
	}
	running, other := FindFor(cfg, io.Discard)
	if other != nil {
		return err
	}
	who, other := running.Info()
	if other != nil || taken.PID != 0 && taken.PID != who.PID {
		return err
	}
	if _, err := os.Stat(cfg.File); cfg.File != "" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("watchdogd (pid %d) has that port, and serves a command of this folder already: watchdogd down ends it", who.PID)
	}
	return fmt.Errorf("watchdogd (pid %d) serves %s already: watchdogd reload applies changes of the file, watchdogd down ends it", who.PID, source.Origin(cfg))
}

// configuredStack is the watchdogd at admin.listen.
func configuredStack(cfg *schema.Config) (Client, error) {
	a := Client{address: cfg.Admin.Listen, token: string(cfg.Admin.Token)}
	_, err := a.Info()
	if path, isSocket := strings.CutPrefix(a.address, "unix:"); isSocket && err == nil {
		a.uid, err = vet(path, false)
	}
	if other, is := errors.AsType[*foreign](err); is {
		return a, servedBy(cfg, other.uid)
	}
	if errors.Is(err, errToken) { // something serves it
		return a, fmt.Errorf("%s: %w", a.address, err)
	}
	if err != nil {
		return a, fmt.Errorf("%w %s: nothing answers at %s: %w", ErrNone, source.Origin(cfg), a.address, err)
	}
	return a, nil
}

// findStack looks for the watchdogd of cfg in all places where its socket may be.
func findStack(cfg *schema.Config) (Client, error) {
	listening := listeningSockets()
	paths, folders := socketPaths(cfg, listening)
	var others []Client // of users that only root may speak to
	none := &noneError{origin: source.Origin(cfg), folders: folders}
	var refusals []error
	hidden := -1 // the user of one that this user may not look at
	deadline := time.Now().Add(10 * time.Second)
	for _, path := range paths {
		if time.Now().After(deadline) {
			refusals = append(refusals, errors.New("too many sockets do not answer"))
			break
		}
		a := Client{address: "unix:" + path, own: true}
		who, err := a.Info()
		if err == nil {
			a.uid, err = vet(path, true)
		}
		untrusted, isForeign := errors.AsType[*foreign](err)
		switch {
		case err == nil && !isStack(who, cfg, path):
			if filepath.IsAbs(who.File) { // else it is an environment
				none.others = append(none.others, who.File)
			}
		case err == nil && (a.uid == os.Geteuid() || a.uid == 0):
			return a, nil
		case err == nil:
			others = append(others, a)
		case isForeign && isOfFile(cfg, path):
			hidden = untrusted.uid
		case errors.Is(err, fs.ErrPermission) && isOfFile(cfg, path) && slices.Contains(listening, path):
			hidden = owner.Above(path)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ECONNREFUSED), isForeign:
		case isNamed(cfg, path):
			refusals = append(refusals, fmt.Errorf("%s: %w", path, err))
		}
	}
	a, err := choose(cfg, others)
	switch {
	case err != nil || a.address != "":
		return a, err
	case hidden >= 0:
		return Client{}, servedBy(cfg, hidden)
	case len(refusals) > 0:
		return Client{}, fmt.Errorf("no watchdogd that serves %s can be reached: %w", source.Origin(cfg), errors.Join(refusals...))
	}
	return Client{}, none
}

// noneError says where a watchdogd was looked for that serves origin, and what the others serve
// that were found there.
type noneError struct {
	origin          string
	folders, others []string
}

func (e *noneError) Error() string {
	text := fmt.Sprintf("%v %s: no socket for it answers in %s; start it with watchdogd run", ErrNone, e.origin, some(e.folders, 4, "other folders"))
	if len(e.others) == 0 {
		return text + ", or name the file of one that runs with -c"
	}
	return text + "; " + e.running()
}

func (e *noneError) Unwrap() error { return ErrNone }

// running says which stacks run.
func (e *noneError) running() string {
	return "to use a stack that runs, name its file with -c: " + some(unique(e.others), 4, "other files")
}

// some lists the first of more than most+1.
func some(list []string, most int, others string) string {
	if len(list) <= most+1 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d %s", strings.Join(list[:most], ", "), len(list)-most, others)
}

// servedBy is the error of a command whose user may not speak to the watchdogd of uid.
func servedBy(cfg *schema.Config, uid int) error {
	return fmt.Errorf("%s is served by a watchdogd of %s, which answers that user and root: run this command as one of them, as in sudo -u '#%d' watchdogd ps", source.Origin(cfg), owner.Name(uid), uid)
}

// choose takes one of the stacks of other users that all say that they serve the file:
// that of the file's owner, else the only one.
func choose(cfg *schema.Config, others []Client) (Client, error) {
	of := -1
	if info, err := os.Stat(cfg.File); err == nil {
		of = owner.Of(info)
	}
	var users []string
	for _, a := range others {
		if a.uid == of {
			return a, nil
		}
		users = append(users, owner.Name(a.uid))
	}
	switch len(others) {
	case 0:
		return Client{}, nil
	case 1:
		return others[0], nil
	}
	return Client{}, fmt.Errorf("%s is served by several watchdogds, of %s; run this command as one of them", source.Origin(cfg), strings.Join(users, ", "))
}

// isStack reports whether the watchdogd that answered at path serves the file of cfg, by
// whatever name it was started with.
func isStack(who Info, cfg *schema.Config, path string) bool {
	if isNamed(cfg, path) || cfg.File == "" {
		return isNamed(cfg, path)
	}
	if who.File == cfg.File {
		return true
	}
	theirs, err := os.Stat(who.File)
	if err != nil {
		return false
	}
	ours, err := os.Stat(cfg.File)
	return err == nil && os.SameFile(theirs, ours)
}

// isNamed reports whether path is named as the socket of cfg is.
func isNamed(cfg *schema.Config, path string) bool {
	name := filepath.Base(path)
	return name == SocketName(cfg, cfg.File) || name == SocketName(cfg, resolved(cfg.File))
}

// isOfFile reports whether path is named as the socket of a stack with the file of cfg is,
// whose name may have been another when it was started.
func isOfFile(cfg *schema.Config, path string) bool {
	if isNamed(cfg, path) || cfg.File == "" {
		return isNamed(cfg, path)
	}
	hash := func(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }
	its := hash(filepath.Base(path))
	return its == hash(SocketName(cfg, cfg.File)) || its == hash(SocketName(cfg, resolved(cfg.File)))
}

// SocketName is the name of the socket that belongs to the file, or the environment, of
// a stack: every command finds it from the same one again.
func SocketName(cfg *schema.Config, file string) string {
	if file == "" { // an environment has no place: what it listens on is its own
		file = strings.Join(cfg.Server.Listen, " ")
	}
	sum := sha256.Sum256([]byte(file))
	name := cfg.Name
	if len(name) > 24 { // a socket's path has 104 to 108 bytes (unix(7))
		name = name[:24]
	}
	return name + "-" + hex.EncodeToString(sum[:4]) + ".sock"
}

// resolved is the path of a file whose folder is reached by no link.
func resolved(file string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil && file != "" {
		return filepath.Join(dir, filepath.Base(file))
	}
	return file
}

// ownFolders are where a watchdogd of this user and environment puts its socket: in the
// first that it can use.
func ownFolders() []string {
	var folders []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		folders = append(folders, filepath.Join(dir, "watchdogd"))
	}
	of := ownDirName()
	folders = append(folders, filepath.Join(os.TempDir(), of))
	if common := filepath.Join(commonTemp, of); !slices.Contains(folders, common) {
		folders = append(folders, common)
	}
	return folders
}

func ownDirName() string { return "watchdogd-" + strconv.Itoa(os.Geteuid()) }

// spareDirs are what spareDir may have made before.
func spareDirs() []string {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), ownDirName()+"-*")) // its only error is a bad pattern
	return dirs[:min(len(dirs), 16)]
}

// commonTemp is the temporary directory of processes whose environment names none.
const commonTemp = "/tmp"

// maxSockets bounds how many sockets a command looks at.
const maxSockets = 256

// socketPaths are the paths at which the watchdogd of cfg may be reached, the likeliest
// first, and the folders that they are in: this user's, root's, for root those of all
// users, and whatever the system knows of. Those named as the stack come before others,
// which may serve the file by another name.
func socketPaths(cfg *schema.Config, listening []string) (paths, folders []string) {
	uid := os.Geteuid()
	folders = append(ownFolders(), spareDirs()...)
	for _, id := range []int{uid, 0} {
		of := strconv.Itoa(id)
		folders = append(folders, "/run/user/"+of+"/watchdogd", filepath.Join(os.TempDir(), "watchdogd-"+of), commonTemp+"/watchdogd-"+of)
	}
	if uid == 0 {
		for _, pattern := range []string{"/run/user/*/watchdogd", filepath.Join(os.TempDir(), "watchdogd-*"), commonTemp + "/watchdogd-*"} {
			there, _ := filepath.Glob(pattern) // its only error is a bad pattern
			folders = append(folders, there[:min(len(there), maxSockets)]...)
		}
	}
	for _, path := range listening {
		folders = append(folders, filepath.Dir(path))
	}
	folders = unique(folders)
	for _, file := range []string{cfg.File, resolved(cfg.File)} {
		for _, dir := range folders {
			paths = append(paths, filepath.Join(dir, SocketName(cfg, file)))
		}
	}
	named := unique(paths)
	var others []string
	for _, dir := range folders {
		others = append(others, socketsIn(dir)...)
	}
	paths = unique(append(append(named, others...), listening...))
	return paths[:min(len(paths), len(named)+maxSockets)], folders
}

// socketsIn lists the sockets of a folder, as far as this user may.
func socketsIn(dir string) (paths []string) {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(4 * maxSockets) // what can be read is enough
	for _, e := range entries {
		if e.Type() == fs.ModeSocket && strings.HasSuffix(e.Name(), ".sock") && len(paths) < maxSockets {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths)
	return paths
}

// listeningSockets are the paths of what may be admin sockets of any user and environment,
// as far as the system lists them: Linux does, in /proc/net/unix.
func listeningSockets() (paths []string) {
	table, err := regular.ReadFile("/proc/net/unix")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(table)) {
		i := strings.IndexByte(line, '/')
		if i < 0 || len(paths) == maxSockets {
			continue
		}
		path := strings.TrimSuffix(line[i:], "\n")
		in := filepath.Base(filepath.Dir(path))
		if strings.HasSuffix(path, ".sock") && (in == "watchdogd" || strings.HasPrefix(in, "watchdogd-")) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// unique is list without what stands in it before.
func unique(list []string) []string {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(s string) bool {
		twice := seen[s]
		seen[s] = true
		return twice
	})
}
