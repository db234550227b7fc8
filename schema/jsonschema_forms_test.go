package schema

import (
	"reflect"
	"strings"
)

// node is a part of a schema.
type node = map[string]any

// What patterns are made of. They are in the subset that RE2 and ECMAScript share.
const (
	reName     = `[A-Za-z_][A-Za-z0-9_]*`
	reVariable = `\$\{` + reName + `(:[-?]([^{}]|\$\{([^{}]|\$\{[^{}]*\})*\})*)?\}`
	reBroken   = `(^|[^$])(\$\$)*\$\{([^A-Za-z_]|` + reName + `([^A-Za-z0-9_:}]|:[^-?])|[^}]*$)`
	reKept     = `\$\{(PORT|INSTANCE|NAME):`
	rePort     = `0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	reHost     = `([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?)`
	reIPv6     = `[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F.]*(%[^\]]*)?`
	reServer   = `(\[` + reIPv6 + `\]|` + reHost + `?)`
	reAddress  = `unix:.+|` + reServer + `:` + rePort
	rePath     = `/([A-Za-z0-9._~!$&'()+,;=:@/*-]|%[0-9A-Fa-f]{2})*`
	reToken    = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"
	reUpstream = `^$|^unix:.+$|^([hH][tT][tT][pP]|[hH]2[cC])://(` + reServer + `:` + rePort + `|` + reHost + `|\[` + reIPv6 + `\])(` + rePath + `)?$|^` + reServer + `:` + rePort + `(` + rePath + `)?$`

	// The words of a command that no shell is needed for.
	reDollar  = reVariable + `|\$\$|\$[\s.,:/%+=\]]|\$$`
	reQuoted  = `'[^']*'|"([^"\\$` + "`" + `]|\\[\s\S]|` + reDollar + `)*"`
	reCommand = `^([^'"\\|&;<>()$` + "`" + `\n]|\\[\s\S]|` + reQuoted + `|` + reDollar + `)*\s*$`
	reSyntax  = `^\s*((if|while|until|for|case|function|!|\{)(\s|$)|` + reName + `=|~(/|\s|$))`
)

const anAddress = "host:port, :port or unix:/path"

// variable allows a value that is not known before ${...} is replaced.
var variable = ref("variable")

// noText is everything but text in which one of the patterns is found.
func noText(patterns ...string) node {
	return node{"not": node{"type": "string", "pattern": strings.Join(patterns, "|")}}
}

func scalar(types ...string) node { return node{"type": types} }

func anyOf(of ...any) node { return node{"anyOf": of} }

// matching is a string of a form, or with a variable.
func matching(pattern string, more ...string) node {
	return node{"type": append([]string{"string", "null"}, more...), "pattern": pattern + `|\$\{`, "not": noText(reBroken)["not"]}
}

func oneOf(words ...string) node { return anyOf(node{"enum": append(anys(words), nil)}, variable) }

func anys(words []string) []any {
	values := make([]any, len(words))
	for i, w := range words {
		values[i] = w
	}
	return values
}

// one is a list of strings, or one string.
func one(element node) node {
	return anyOf(element, node{"type": "null"}, node{"type": "array", "items": element})
}

// written is text with well-formed variables.
func written(types ...string) node { return node{"type": types, "not": noText(reBroken)["not"]} }

var (
	textValue = ref("word")
	anyText   = node{"type": []string{"string", "number", "boolean", "null"}, "not": noText(reBroken, reKept)["not"]}
	filled    = node{"type": []string{"string", "number"}, "minLength": 1, "not": noText(reBroken)["not"]}
	command   = anyOf(node{"type": "string", "pattern": `\S`, "not": noText(reBroken)["not"]}, node{"type": "null"},
		node{"type": "array", "minItems": 1, "items": anyText, "prefixItems": []any{filled}})
	listened = told(anAddress, matching("^("+reAddress+")$"))
	more     = node{"not": node{"enum": []any{0, "0", "0s"}}} // longer than 0
)

// refined are the values of keys whose type allows more than the loader does.
var refined = map[string]func(node) node{
	"server.listen":          func(node) node { return one(listened) },
	"metrics.listen":         func(node) node { return told(anAddress, matching("^("+reAddress+")?$")) },
	"admin.listen":           func(node) node { return told(anAddress, matching("^("+reAddress+")?$")) },
	"server.trusted_proxies": func(node) node { return one(matching(`^[0-9a-fA-F:.]+(/[0-9]{1,3})?$`)) },
	"gateway.functions":      func(node) node { return urlPath(`^$|^` + rePath + `[^/]/?$`) },
	"gateway.header": func(node) node {
		return with(matching("^("+reToken+")?$"), "not", noText(reBroken, "^[hH][oO][sS][tT]$")["not"])
	},
	"health.ready_path": func(node) node { return matching("^(/|$)") },
	"routes.path":       func(node) node { return urlPath(`^$|^` + rePath + `$`) },
	"routes.host":       func(node) node { return matching(`^(\*\.)?` + reHost + `?$|^` + reIPv6 + `$`) },
	"routes.methods": func(node) node {
		return unique(one(told("a method in capitals, as in GET", matching("^[A-Z0-9!#$%&'*+.^_`|~-]+$"))))
	},
	"routes.headers": func(s node) node {
		return with(s, "propertyNames", node{"pattern": "^" + reToken + "$"}, "additionalProperties", matching(`^[^\x00-\x08\x0a-\x1f\x7f]*$`, "number", "boolean"))
	},
	"routes.user":                   func(node) node { return matching(`^([^\s/:]+(:[^\s/:]+)?)?$`, "integer") },
	"routes.rlimits":                func(s node) node { return with(s, "propertyNames", node{"enum": LimitNames()}) },
	"routes.restart.max":            positive,
	"routes.restart.give_up.within": positive,
	"routes.live.interval":          positive,
	"routes.live.timeout":           positive,
	"routes.ready.timeout":          positive,
	"routes.ready.tcp":              func(node) node { return probed },
	"routes.live.tcp":               func(node) node { return probed },
	"routes.ready.http":             func(node) node { return matching(`^(/\S*|https?://[^/\s]+\S*)?$`) },
	"routes.live.http":              func(node) node { return matching(`^(/\S*|https?://[^/\s]+\S*)?$`) },
	"routes.auth.hmac.header":       func(node) node { return matching("^(" + reToken + ")?$") },
	"routes.auth.jwt.issuer":        func(node) node { return matching(`^(https?://[^/\s]+.*)?$`) },
	"routes.auth.jwt.jwks":          func(node) node { return matching(`^(https?://[^/\s]+.*)?$`) },
	"routes.auth.openfaas.gateway":  func(node) node { return matching(`^https?://[^/]+`) },
	"routes.auth.openfaas.function": func(node) node { return matching(`^[^:]+:.+`) },
}

var probed = anyOf(node{"type": "integer", "minimum": 0, "maximum": 65535}, matching("^("+reAddress+"|"+rePort+")?$"))

func urlPath(pattern string) node {
	s := told("a path that starts with /, as it is sent: a space is %20", matching(pattern))
	s["not"] = noText(reBroken, `^/_(/|$)|//|/\.\.?(/|$)|\*`)["not"]
	return s
}

func positive(s node) node { return node{"allOf": []any{s, more}} }

func unique(s node) node {
	for _, alternative := range s["anyOf"].([]any) {
		if a := alternative.(node); a["items"] != nil {
			a["uniqueItems"] = true
		}
	}
	return s
}

// told is a pattern with what the YAML language server says of it instead of the pattern itself.
func told(message string, s node) node { return with(s, "patternErrorMessage", "must be "+message) }

func with(s node, more ...any) node {
	for i := 0; i < len(more); i += 2 {
		s[more[i].(string)] = more[i+1]
	}
	return s
}

// related are the rules between the keys of one mapping.
var related = map[string]func(node){
	"TLS": func(s node) { s["dependentRequired"] = node{"cert": []string{"key"}, "key": []string{"cert"}} },
	"Admin": func(s node) {
		s["if"] = node{"required": []string{"listen"}, "properties": node{"listen": node{"type": "string", "not": node{"pattern": `^$|^unix:|^127\.|^\[::1\]:|^[lL][oO][cC][aA][lL][hH][oO][sS][tT]:|\$\{`}}}}
		s["then"] = has("token")
	},
	"Health": func(s node) {
		s["if"] = node{"required": []string{"ready"}, "properties": node{"ready": node{"const": "none"}}}
		s["then"] = node{"properties": node{"ready_path": node{"enum": []any{"", nil}}}}
	},
	"BasicAuth": func(s node) { s["anyOf"] = []any{has("file"), has("users")} },
	"KeysAuth":  func(s node) { s["anyOf"] = []any{has("file"), has("keys")} },
	"HMACAuth":  func(s node) { s["anyOf"] = []any{has("secret_file"), has("secret")} },
	"JWTAuth": func(s node) {
		s["allOf"] = []any{anyOf(has("issuer"), has("jwks")), anyOf(has("audience"), has("claims"))}
	},
	"OpenFaaSAuth": func(s node) { s["required"] = []string{"gateway", "function"} },
	"RouteKeys": func(s node) {
		s["allOf"] = []any{shellLine, node{
			"if":   node{"required": []string{"request"}, "properties": node{"request": node{"const": "json"}}},
			"then": node{"properties": node{"form": node{"enum": []any{"", nil}}}},
		}}
	},
	"Service": func(s node) {
		url := node{"properties": node{"http": noText("^/")}}
		s["allOf"] = []any{shellLine, noPort, node{"properties": node{"ready": url, "live": url}}}
	},
}

// noPort is an item without a port of its own.
var noPort = func() node {
	value := noText(`(^|[^$])(\$\$)*\$\{PORT\}`)
	return node{"properties": node{"fprocess": allOf(value, node{"items": value}), "dir": value, "env": node{"additionalProperties": value}}}
}()

var shellLine = node{
	"if":   node{"required": []string{"shell"}, "properties": node{"shell": node{"const": true}}},
	"then": node{"properties": node{"fprocess": node{"type": []string{"string", "null"}, "not": node{"pattern": `(^|[^&])&\s*$`}}}},
}

// noShell are the commands of an item for which nothing says shell: true.
var noShell = func() node {
	words := node{"if": node{"type": "string"}, "then": node{"pattern": reCommand, "patternErrorMessage": "this works only in a shell: set shell: true, or quote it to pass it as plain text", "not": node{"pattern": reSyntax + "|" + reBroken + "|" + reKept}}}
	probe := node{"properties": node{"exec": words}}
	return node{"if": node{"not": node{"required": []string{"shell"}}}, "then": node{"properties": node{"fprocess": words, "ready": probe, "live": probe}}}
}()

// forms are the schemas of the types that have a form of their own.
var forms = map[reflect.Type]func() node{
	reflect.TypeFor[Duration](): func() node {
		s := matching(`^(\+?0|[0-9]+|\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`, "integer")
		s["minimum"], s["maximum"] = 0, 9223372036 // seconds in 292 years
		return told(aDuration, s)
	},
	reflect.TypeFor[Size](): func() node {
		s := matching(`^([0-9]+|([0-9]+(\.[0-9]*)?|\.[0-9]+) *([kKmMgGtT][iI]?)?[bB])$`, "integer")
		s["minimum"] = 0
		return told(aSize, s)
	},
	reflect.TypeFor[Rate](): func() node {
		return told(aRate, matching(`^(\s*[0-9.e+-]*[1-9][0-9.e+-]*/[smh](\s+burst\s+[1-9][0-9]*)?\s*)?$`))
	},
	reflect.TypeFor[Umask](): func() node { return told(aUmask, matching(`^((0o)?0*[0-7]{1,3})?$`, "integer")) },
	reflect.TypeFor[Text](): func() node {
		return with(written("string", "number", "null"), "not", noText(reBroken, reKept)["not"])
	},
	reflect.TypeFor[Mode]():    func() node { return oneOf(Modes()...) },
	reflect.TypeFor[Strings](): func() node { return one(filled) },
	reflect.TypeFor[Command](): func() node { return command },
	reflect.TypeFor[Upstream](): func() node {
		return with(told("host:port, http://host:port/base, h2c://host:port or unix:/path", matching(reUpstream)), "not", noText(reBroken, reKept)["not"])
	},
	reflect.TypeFor[Signal](): func() node {
		return anyOf(node{"enum": append(anys(SignalNames()), nil)}, node{"type": "string", "pattern": "^([sS][iI][gG])?(" + anyCase(SignalNames()) + `)$|\$\{`})
	},
	reflect.TypeFor[Dependencies](): func() node {
		return anyOf(one(filled), node{"type": "object", "additionalProperties": oneOf(conditions...)["anyOf"].([]any)[0]})
	},
	reflect.TypeFor[[]Route]():   func() node { return listOf("Route") },
	reflect.TypeFor[[]Service](): func() node { return listOf("Service") },
}

// shorts are the short forms of types that are mappings otherwise.
var shorts = map[string][]any{
	"Replicas": {node{"type": []string{"integer", "null"}, "minimum": 1, "maximum": MaxReplicas}, variable},
	"Restart":  oneOf("always", "on-failure", "never")["anyOf"].([]any),
	"Probe":    oneOf("tcp")["anyOf"].([]any),
	"Auth":     {node{"enum": []any{"none", nil}}},
}

func anyCase(words []string) string {
	alternatives := make([]string, 0, len(words))
	for _, w := range words {
		var b strings.Builder
		for _, r := range w {
			if lower := strings.ToLower(string(r)); lower != string(r) {
				b.WriteString("[" + string(r) + lower + "]")
			} else {
				b.WriteRune(r)
			}
		}
		alternatives = append(alternatives, b.String())
	}
	return strings.Join(alternatives, "|")
}

func ref(name string) node { return node{"$ref": "#/$defs/" + name} }

func listOf(name string) node {
	return node{"type": []string{"array", "null"}, "items": ref(name), "maxItems": maxItems}
}
