package schema

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// The JSON Schema is made of the types: their keys, comments, tags and defaults. What the
// loader decides by code stands here a second time, as a schema: the short forms of values,
// and which key belongs to which mode. TestTheJSONSchemaAgreesWithTheLoader compares them.

const schemaFile = "watchdog.schema.json"

// After a change of a key, write the file again by: go generate ./schema
func TestTheJSONSchemaIsThatOfTheTypes(t *testing.T) {
	want, err := json.MarshalIndent(generate(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := JSONSchema(); got != string(want) {
		t.Errorf("%s: got another text than the types make, want the same: run go generate ./schema", schemaFile)
	}
}

// schemaMaker makes the definitions of structs, each once.
type schemaMaker struct {
	t        *testing.T
	comments jsonschema.Reflector // the comments of the types
	examples map[string][]any     // by key
	defs     node
	plans    decode.Plans
}

func generate(t *testing.T) node {
	g := &schemaMaker{t: t, defs: node{}, plans: decode.Plans{In: parseUse}, examples: keyExamples(t)}
	if err := g.comments.AddGoComments("schema", "."); err != nil {
		t.Fatal(err)
	}
	base := Default()
	root := g.mapping(reflect.TypeFor[Config](), reflect.ValueOf(base), "")
	properties := root["properties"].(node)
	files := one(filled)
	files["description"] = "Files with more routes and services, by name or by pattern: *, **, ?, [a-z], {a,b}. They hold only routes and services."
	files["examples"] = g.examples["include"]
	properties["include"] = files
	properties["defaults"] = node{
		"description": "Keys that every route and service inherits. Mappings are merged, and the item's own values win.",
		"examples":    g.examples["defaults"],
		"anyOf":       []any{node{"type": "null"}, node{"allOf": []any{ref("RouteKeys"), node{"properties": node{"name": false}}}}},
	}
	route, service := DefaultRoute(), defaultService()
	g.defs["RouteKeys"] = g.mapping(reflect.TypeFor[Route](), reflect.ValueOf(route), "routes")
	g.defs["Service"] = g.mapping(reflect.TypeFor[Service](), reflect.ValueOf(service), "services")
	for _, name := range []string{"RouteKeys", "Service"} {
		related[name](g.defs[name].(node))
	}
	g.defs["Service"].(node)["required"] = []string{"name"}
	g.defs["Service"].(node)["type"] = "object"
	rules := []any{ref("RouteKeys"), node{"type": "object", "required": []string{"name"}}}
	for _, mode := range Modes() {
		rule := g.only(reflect.TypeFor[Route](), routeUse(Mode(mode), true))
		if traits := Mode(mode).Traits(); traits.Process && !traits.Listens {
			rule["allOf"] = []any{noPort}
		}
		g.defs[mode] = rule
		rules = append(rules, node{"if": isMode(mode), "then": ref(mode)})
	}
	g.defs["elsewhere"] = g.only(reflect.TypeFor[Route](), routeUse(HTTP, false))
	g.defs["Route"] = node{"description": g.comment(reflect.TypeFor[Route](), ""), "allOf": rules}

	root["$schema"] = jsonschema.Version
	root["$id"] = "https://raw.githubusercontent.com/watchdogd/watchdogd/main/schema/watchdog.schema.json"
	root["title"] = "watchdog.yaml"
	root["description"] = "The configuration of watchdogd: programs, and how they are served over HTTP."
	root["type"] = "object"
	root["anyOf"] = []any{filledList("routes"), filledList("services"), has("include")}
	root["allOf"] = inherited()
	g.defs["variable"] = node{"type": "string", "pattern": `\$\{`, "not": noText(reBroken)["not"]}
	g.defs["word"] = written("string", "number", "null")
	root["$defs"] = g.defs
	return root
}

// mapping is the schema of a struct. key is the path to it, base its default.
func (g *schemaMaker) mapping(typ reflect.Type, base reflect.Value, key string) node {
	properties := node{}
	for _, f := range g.plans.Of(typ).Fields {
		path := strings.TrimPrefix(key+"."+f.Key, ".")
		if path == "routes.live.log" { // which is refused
			continue
		}
		properties[f.Key] = g.property(typ, f, base.FieldByIndex(f.Index), path)
	}
	return node{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

// property is the schema of one key.
func (g *schemaMaker) property(typ reflect.Type, f decode.Field, base reflect.Value, path string) node {
	owner, field := typ, typ.FieldByIndex(f.Index)
	for _, i := range f.Index[:len(f.Index)-1] {
		owner = owner.Field(i).Type
	}
	s := node{}
	value := g.value(f, base, path)
	key := path
	if other, inService := strings.CutPrefix(path, "services."); inService {
		key = "routes." + other
	}
	if refine := refined[key]; refine != nil {
		value = refine(value)
	}
	for k, v := range value {
		s[k] = v
	}
	s["description"] = g.comment(owner, field.Name)
	if s["description"] == "" {
		g.t.Errorf("%s: got no comment at %s.%s, want the description of the key", path, owner.Name(), field.Name)
	}
	examples, ok := g.examples[path]
	if other, inRoute := strings.CutPrefix(path, "services."); !ok && inRoute {
		examples, ok = g.examples["routes."+other]
	}
	if !ok {
		g.t.Errorf("%s: got no example, want one in testdata/examples.yaml", path)
	}
	s["examples"] = examples
	if value, ok := defaultOf(base); ok {
		s["default"] = value
	}
	return s
}

// value is the schema of the value of a field.
func (g *schemaMaker) value(f decode.Field, base reflect.Value, path string) node {
	if forms[f.Type] != nil {
		return g.form(f)
	}
	switch {
	case strings.HasPrefix(f.Validate, "oneof="), strings.HasPrefix(f.Validate, "omitempty,oneof="):
		_, words, _ := strings.Cut(f.Validate, "oneof=")
		s := oneOf(strings.Fields(words)...)
		if strings.HasPrefix(f.Validate, "omitempty") {
			values := s["anyOf"].([]any)[0].(node)
			values["enum"] = append(values["enum"].([]any), "")
		}
		return s
	case f.Validate == "name":
		return told("a name of a-z, 0-9 and -, at most 63 characters, not starting with -", matching(`^[a-z0-9][a-z0-9-]{0,`+strconv.Itoa(maxName-1)+`}$`, "number"))
	}
	switch f.Type.Kind() {
	case reflect.String:
		return textValue
	case reflect.Bool:
		return anyOf(scalar("boolean", "null"), variable)
	case reflect.Int:
		number := with(scalar("integer", "null"), "maximum", math.MaxInt32)
		for rule := range strings.SplitSeq(f.Validate, ",") {
			bound, value, _ := strings.Cut(rule, "=")
			if n, err := strconv.Atoi(value); err == nil {
				number[map[string]string{"min": "minimum", "max": "maximum"}[bound]] = n
			}
		}
		return anyOf(number, variable)
	case reflect.Slice:
		return one(filled) // of networks
	case reflect.Map:
		element := anyText
		if f.Type.Elem() == reflect.TypeFor[Size]() {
			element = g.form(decode.Field{Type: f.Type.Elem()})
		}
		s := node{"type": []string{"object", "null"}, "additionalProperties": element}
		return s
	case reflect.Pointer:
		fresh := reflect.New(f.Type.Elem())
		prefill(fresh.Interface())
		return g.named(f.Type.Elem(), fresh.Elem(), path)
	case reflect.Struct:
		return g.named(f.Type, base, path)
	}
	g.t.Fatalf("%s: got a %s, want a type that the JSON Schema knows", path, f.Type)
	return nil
}

// form is the schema of a type that has a form of its own, which is a definition, too.
func (g *schemaMaker) form(f decode.Field) node {
	form := forms[f.Type]()
	if f.Type.Name() == "" {
		return form
	}
	if low, ok := form["minimum"]; ok && f.Validate != "" {
		rule, _, _ := strings.Cut(f.Validate, ",")
		if n, err := strconv.Atoi(strings.TrimPrefix(rule, "min=")); err == nil && low == 0 {
			return with(form, "minimum", n)
		}
	}
	name := strings.ToLower(f.Type.Name())
	g.defs[name] = form
	return ref(name)
}

// named is a reference to the schema of a struct, which may have a short form, too.
func (g *schemaMaker) named(typ reflect.Type, base reflect.Value, path string) node {
	name := typ.Name()
	inService := strings.HasPrefix(path, "services.")
	if typ == reflect.TypeFor[Probe]() { // whose defaults differ
		_, name, _ = strings.Cut(path, ".")
		path = "routes." + name
	}
	if g.defs[name] == nil {
		g.defs[name] = node{} // while it is being made
		s := g.mapping(typ, base, path)
		switch {
		case typ == reflect.TypeFor[Probe]():
			s["allOf"] = []any{atMostOne("tcp", "http", "exec", "log")}
		case typ == reflect.TypeFor[Auth]():
			s["maxProperties"] = 1
		case related[name] != nil:
			related[name](s)
		}
		if strings.HasPrefix(path, "routes.auth.") {
			s["type"] = "object" // an empty one would leave the route open
		}
		g.defs[name] = s
	}
	if short := shorts[typ.Name()]; short != nil && !(inService && typ == reflect.TypeFor[Probe]()) { // which has no port of its own
		return node{"anyOf": append(slices.Clone(short), ref(name))}
	}
	return ref(name)
}

func atMostOne(keys ...string) node {
	var pairs []any
	for i, a := range keys {
		for _, b := range keys[i+1:] {
			pairs = append(pairs, node{"required": []string{a, b}})
		}
	}
	return node{"not": anyOf(pairs...)}
}

// only refuses the keys that mean nothing in an item.
func (g *schemaMaker) only(typ reflect.Type, is decode.Use) node {
	refused := node{}
	for _, f := range g.plans.Of(typ).Fields {
		switch {
		case f.In&is == 0:
			refused[f.Key] = false
		case f.Type.Kind() == reflect.Struct && forms[f.Type] == nil:
			if inner := g.only(f.Type, is); len(inner) > 0 {
				refused[f.Key] = inner
			}
		}
	}
	if len(refused) == 0 {
		return node{}
	}
	return node{"properties": refused}
}

// has is an item with a key that has a value.
func has(key string) node {
	return node{"required": []string{key}, "properties": node{key: node{"not": node{"type": "null"}}}}
}

func filledList(key string) node {
	return node{"required": []string{key}, "properties": node{key: node{"type": "array", "minItems": 1}}}
}

func not(s any) node { return node{"not": s} }

func allOf(of ...any) node { return node{"allOf": of} }

func isMode(modes ...string) node {
	s := has("mode")
	s["properties"] = node{"mode": node{"enum": modes}}
	return s
}

// inherited are the rules of items that hold unless defaults say more.
func inherited() []any {
	each := func(list string, rule node) node {
		return node{"properties": node{list: node{"items": rule}}}
	}
	unless := func(keys []string, rules ...any) node {
		var any []any
		for _, k := range keys {
			any = append(any, node{"required": []string{"defaults"}, "properties": node{"defaults": has(k)}})
		}
		return node{"if": anyOf(any...), "else": allOf(rules...)}
	}
	server := anyOf(has("fprocess"), has("upstream"))
	elsewhere := allOf(has("upstream"), not(has("fprocess")))
	implicit := not(has("mode"))
	question := node{"if": node{"type": "object"}, "then": anyOf(has("tcp"), has("http"), has("exec"), has("log"))}
	asked := node{"properties": node{"ready": question, "live": question}}
	return []any{
		unless([]string{"mode"}, each("routes", node{"if": implicit, "then": ref("http")})),
		unless([]string{"fprocess"},
			each("routes", node{"if": isMode("streaming", "serializing", "afterburn"), "then": has("fprocess")}),
			each("routes", node{"if": allOf(isMode("http"), elsewhere), "then": ref("elsewhere")}),
			each("services", has("fprocess"))),
		unless([]string{"ready", "live"}, each("routes", asked), each("services", asked)),
		unless([]string{"shell"}, each("routes", noShell), each("services", noShell)),
		unless([]string{"mode", "fprocess"}, each("routes", node{"if": allOf(implicit, elsewhere), "then": ref("elsewhere")})),
		unless([]string{"fprocess", "upstream"}, each("routes", node{"if": isMode("http"), "then": server})),
		unless([]string{"mode", "fprocess", "upstream"}, each("routes", node{"if": implicit, "then": server})),
		unless([]string{"root"}, each("routes", node{"if": isMode("static"), "then": has("root")})),
	}
}

// comment is the comment of a field, or of a type, as text in one line.
func (g *schemaMaker) comment(typ reflect.Type, field string) string {
	key := "schema." + typ.Name()
	if field != "" {
		key += "." + field
	}
	return strings.Join(strings.Fields(g.comments.CommentMap[key]), " ")
}

// defaultOf is a default as it is written; what is a mapping has none, but its keys do.
func defaultOf(v reflect.Value) (any, bool) {
	switch x := v.Interface().(type) {
	case Duration:
		if x == 0 {
			return 0, true
		}
		return x.String(), true
	case Size:
		if x < 1024 {
			return int64(x), true
		}
		return x.String(), true
	case Replicas:
		return x.Min, true
	case Restart:
		return x.Policy, true
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Int:
		return v.Interface(), true
	case reflect.String:
		return v.String(), v.String() != ""
	}
	return nil, false
}

// keyExamples are the examples of keys, of which each must be right.
func keyExamples(t *testing.T) map[string][]any {
	data, err := os.ReadFile("testdata/examples.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string][]yaml.Node
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	examples := make(map[string][]any, len(file))
	known := Keys()
	for key, nodes := range file {
		if !slices.Contains(known, key) {
			t.Errorf("testdata/examples.yaml: got %s, want only keys of the file", key)
		}
		for i := range nodes {
			examples[key] = append(examples[key], plainValue(&nodes[i]))
		}
	}
	return examples
}
