package schema

import _ "embed"

//go:generate go test -run TestTheJSONSchemaIsThatOfTheTypes . -update

//go:embed watchdog.schema.json
var jsonSchema string

// JSONSchema returns the JSON Schema (2020-12) of the file: every key with its description,
// default and examples, and what its value may be. It flags the mistakes that can be found
// without looking at other files, variables, or what other items have.
func JSONSchema() string { return jsonSchema }
