package differential

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// difference is one place where the two brokers disagree.
type difference struct {
	step, field       string
	reference, tested string
}

func (d difference) String() string {
	return fmt.Sprintf("%s | %s | %s | %s", d.step, d.field, shorten(d.reference), shorten(d.tested))
}

func shorten(s string) string {
	if len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}

// compare lists the differences of two transcripts of one scenario, in the order of its steps. When the outcome of a step differs its fields
// are not looked at.
func compare(scenario string, pair ...*transcript) []difference {
	reference, tested := pair[0], pair[1]
	var out []difference
	for _, label := range reference.order {
		r, step := reference.entries[label], scenario+": "+label
		t, ok := tested.entries[label]
		switch {
		case !ok:
			out = append(out, difference{step, "step", "played", "missing"})
		case r.outcome != t.outcome:
			out = append(out, difference{step, "outcome", string(r.outcome), string(t.outcome) + " " + t.fields["garbled"]})
		default:
			out = append(out, compareFields(step, r.fields, t.fields)...)
		}
	}
	for _, label := range tested.order {
		if _, ok := reference.entries[label]; !ok {
			out = append(out, difference{scenario + ": " + label, "step", "missing", "played"})
		}
	}
	return out
}

func compareFields(step string, reference, tested map[string]string) []difference {
	out := map[difference]bool{}
	for field, r := range reference {
		if t, ok := tested[field]; !ok {
			out[difference{step, missingPart(field, tested), "present", "absent"}] = true
		} else if t != r {
			out[difference{step, field, r, t}] = true
		}
	}
	for field := range tested {
		if _, ok := reference[field]; !ok {
			out[difference{step, missingPart(field, reference), "absent", "present"}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(out), func(a, b difference) int { return strings.Compare(a.field, b.field) })
}

// missingPart is the largest part of the answer around field of which the other side has nothing: a whole element of an array counts as one
// difference, not as one for each of its fields.
func missingPart(field string, other map[string]string) string {
	for i := range len(field) {
		if field[i] != ']' {
			continue
		}
		part, there := field[:i+1], false
		for f := range other {
			if there = strings.HasPrefix(f, part); there {
				break
			}
		}
		if !there {
			return part
		}
	}
	return field
}

var versionWord = regexp.MustCompile(`\bv\d+\b`)

// fold writes differences that only the version of the request tells apart as one line, with the versions behind it.
func fold(all []difference) []string {
	versions := map[string][]string{}
	var order []string
	for _, d := range all {
		version := versionWord.FindString(d.step)
		d.step = versionWord.ReplaceAllString(d.step, "v*")
		line := d.String()
		if _, seen := versions[line]; !seen {
			order = append(order, line)
		}
		if !slices.Contains(versions[line], version) {
			versions[line] = append(versions[line], version)
		}
	}
	for i, line := range order {
		order[i] = line + " | " + strings.Join(versions[line], " ")
	}
	return order
}

// known is a difference that docs/compatibility.md admits: globs over step and field, as written there, and whether it was met in this run.
type known struct {
	step, field string
	met         bool
}

// tableHead opens the table of docs/compatibility.md that this test reads. Columns: step, field, Apache Kafka, gregor, reason.
const tableHead = "| Step | Field | Apache Kafka 3.9.2 | gregor | Reason |"

// readKnown takes the admitted differences out of the document, so that the page and the test cannot disagree.
func readKnown(file string) ([]*known, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, table, found := strings.Cut(string(b), tableHead+"\n")
	if !found {
		return nil, fmt.Errorf("%s has no table that starts with %q", file, tableHead)
	}
	var rows []*known
	for n, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if n == 0 {
			continue // the rule under the head
		}
		if len(cells) != 5 || strings.TrimSpace(cells[4]) == "" {
			return nil, fmt.Errorf("%s: row %q needs five cells and a reason", file, line)
		}
		rows = append(rows, &known{step: cell(cells[0]), field: cell(cells[1])})
	}
	return rows, nil
}

func cell(s string) string { return strings.Trim(strings.TrimSpace(s), "`") }

// glob matches with * for any text, slashes and brackets being ordinary.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, last)
}

// admitted reports whether the page lists d, and marks the row.
func admitted(rows []*known, d difference) bool {
	found := false
	for _, k := range rows {
		if glob(k.step, d.step) && glob(k.field, d.field) {
			k.met, found = true, true
		}
	}
	return found
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "abc", true}, {"*c", "abc", true}, {"a*c*e", "abcde", true},
		{"a*e*c", "abcde", false}, {"Topics[*].X", "Topics[t-1].X", true}, {"*", path.Join("a", "b"), true},
	} {
		if glob(c.pattern, c.s) != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, !c.want)
		}
	}
}
