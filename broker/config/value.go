package config

import (
	"math"
	"strconv"
	"strings"
)

// InvalidValueError is a value that the definition of its key does not allow, or, without a key, a value that cannot
// be as things stand. Kafka answers INVALID_CONFIG for a topic's and INVALID_REQUEST for a broker's.
type InvalidValueError struct {
	Name  string // the key
	Value string // as given, or as understood where it parses
	Why   string // what is allowed
}

func (e *InvalidValueError) Error() string {
	switch {
	case e.Name == "":
		return e.Why
	case e.Why == "":
		return "Invalid value " + e.Value + " for configuration " + e.Name
	default:
		return "Invalid value " + e.Value + " for configuration " + e.Name + ": " + e.Why
	}
}

// value is a parsed value. text is its canonical form, which DescribeConfigs answers; the other fields are set as the
// type of the key says.
type value struct {
	kind    Type
	null    bool
	text    string
	boolean bool
	integer int64 // Int, Short, Long
	double  float64
	list    []string
}

// parse reads raw as the type of the key and checks it against the key's rule (ConfigDef.parseType).
func (key *Key) parse(raw string) (value, error) {
	v, why := parseAs(key.Type, javaTrim(raw))
	if why != "" {
		return value{}, &InvalidValueError{key.Name, raw, why}
	}
	if key.rule != nil {
		if err := key.rule(key.Name, v); err != nil {
			return value{}, err
		}
	}
	return v, nil
}

// defaultValue is the parsed default. Defaults satisfy their definitions; a test holds that.
func (key *Key) defaultValue() value {
	if key.Default == nil {
		return value{kind: key.Type, null: true}
	}
	v, _ := parseAs(key.Type, *key.Default)
	return v
}

// parseAs returns what is wrong with text as a value of type t, or "".
func parseAs(t Type, text string) (v value, why string) {
	v.kind, v.text = t, text
	switch t {
	case Boolean:
		switch {
		case strings.EqualFold(text, "true"):
			v.boolean = true
		case !strings.EqualFold(text, "false"):
			return v, "Expected value to be either true or false"
		}
		v.text = strconv.FormatBool(v.boolean)
	case Int, Short, Long:
		n, err := strconv.ParseInt(text, 10, map[Type]int{Int: 32, Short: 16, Long: 64}[t])
		if err != nil {
			return v, "Not a number of type " + t.String()
		}
		v.integer, v.text = n, strconv.FormatInt(n, 10)
	case Double:
		f, ok := parseDouble(text)
		if !ok {
			return v, "Not a number of type DOUBLE"
		}
		v.double, v.text = f, formatDouble(f)
	case List:
		v.list = splitList(text)
		v.text = strings.Join(v.list, ",")
	case Class:
		// The only class that gregor stands in for is the one that Kafka uses by default.
		if text != defaultPrincipalBuilder {
			return v, "Class " + text + " could not be found."
		}
	}
	return v, ""
}

const defaultPrincipalBuilder = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"

// javaTrim cuts what Java's String.trim cuts: everything up to and including the blank, at both ends.
func javaTrim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

// splitList cuts at commas and the white space around them. Empty text is an empty list; an empty element stays.
func splitList(text string) []string {
	if text == "" {
		return []string{}
	}
	list := strings.Split(text, ",")
	for i, s := range list {
		list[i] = javaTrim(s)
	}
	return list
}

// parseDouble reads what Java's Double.parseDouble reads: no underscores, NaN and Infinity only in this spelling, a
// trailing type letter, and values beyond the range as infinite.
func parseDouble(text string) (float64, bool) {
	switch strings.TrimLeft(text, "+-") {
	case "NaN", "Infinity":
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil
	}
	digits := text
	if n := len(digits); n > 1 && strings.ContainsRune("fFdD", rune(digits[n-1])) {
		if !strings.ContainsAny(digits, "xX") || strings.ContainsAny(digits, "pP") {
			digits = digits[:n-1]
		}
	}
	if strings.Trim(digits, "0123456789+-.eEpPxXabcdfABCDF") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// formatDouble prints as Java's Double.toString: plain between 10^-3 and 10^7 with at least one digit after the
// point, otherwise as 1.0E7.
func formatDouble(f float64) string {
	switch magnitude := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || magnitude >= 1e-3 && magnitude < 1e7:
		return withPoint(strconv.FormatFloat(f, 'f', -1, 64))
	default:
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		n, _ := strconv.Atoi(exponent)
		return withPoint(mantissa) + "E" + strconv.Itoa(n)
	}
}

func withPoint(digits string) string {
	if strings.Contains(digits, ".") {
		return digits
	}
	return digits + ".0"
}
