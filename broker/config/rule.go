package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule checks a parsed value beyond its type. It returns an *InvalidValueError that says what is allowed.
type rule func(name string, v value) error

// number is an Int, Short, Long or Double as a float: every bound in the tables is exact in it.
func number(v value) float64 {
	if v.double != 0 {
		return v.double
	}
	return float64(v.integer)
}

// atLeast and between are inclusive. NaN passes, as it does in Kafka.
func atLeast(low float64) rule {
	return func(name string, v value) error {
		if number(v) < low {
			return &InvalidValueError{name, v.text, "Value must be at least " + formatBound(low)}
		}
		return nil
	}
}

func between(low, high float64) rule {
	least := atLeast(low)
	return func(name string, v value) error {
		if number(v) > high {
			return &InvalidValueError{name, v.text, "Value must be no more than " + formatBound(high)}
		}
		return least(name, v)
	}
}

func formatBound(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func oneOf(allowed ...string) rule {
	return func(name string, v value) error {
		if slices.Contains(allowed, v.text) {
			return nil
		}
		return &InvalidValueError{name, v.text, "String must be one of: " + strings.Join(allowed, ", ")}
	}
}

func oneOfFold(allowed ...string) rule {
	return func(name string, v value) error {
		if slices.Contains(allowed, strings.ToUpper(v.text)) {
			return nil
		}
		return &InvalidValueError{name, v.text, "String must be one of (case insensitive): " + strings.Join(allowed, ", ")}
	}
}

// eachOf is oneOf for every element of a list.
func eachOf(allowed ...string) rule {
	one := oneOf(allowed...)
	return func(name string, v value) error {
		for _, element := range v.list {
			if err := one(name, value{text: element}); err != nil {
				return err
			}
		}
		return nil
	}
}

func nonEmpty(name string, v value) error {
	if v.text == "" {
		return &InvalidValueError{name, v.text, "String must be non-empty"}
	}
	return nil
}

// gzipLevel is 1 to 9, or -1 for the library's own default.
func gzipLevel(name string, v value) error {
	if v.integer == -1 || v.integer >= 1 && v.integer <= 9 {
		return nil
	}
	return &InvalidValueError{name, v.text, "Value must be between 1 and 9 or equal to -1"}
}

// poolSize is a number of threads, or -1 for that of another pool.
func poolSize(name string, v value) error {
	if v.integer == -1 || v.integer > 0 {
		return nil
	}
	return &InvalidValueError{name, v.text, "Value can be -1 or greater than 0"}
}

func releaseName(name string, v value) error {
	if _, ok := releaseIndex(v.text); !ok {
		return &InvalidValueError{name, v.text, "Version " + v.text + " is not a valid version"}
	}
	return nil
}

var throttledReplica = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

// throttledReplicas is "*" alone or partition:broker pairs; blank elements are passed over.
func throttledReplicas(name string, v value) error {
	if len(v.list) == 1 && v.list[0] == "*" {
		return nil
	}
	for _, pair := range v.list {
		if pair != "" && !throttledReplica.MatchString(pair) {
			return &InvalidValueError{name, "[" + strings.Join(v.list, ", ") + "]", name +
				" must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."}
		}
	}
	return nil
}
