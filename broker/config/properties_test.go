package config

import (
	"maps"
	"strings"
	"testing"
)

// What java.util.Properties.load of Java 17 makes of each input.
var propertiesCases = []struct {
	name, in string
	want     map[string]string
}{
	{"separators", "a=b\nc:d\ne f\ng\nh = i\nj : k\n l\t=\tm \n", map[string]string{"a": "b", "c": "d", "e": "f", "g": "", "h": "i", "j": "k", "l": "m "}},
	{"escaped separators in keys", "a\\=b=c\n\\ x=y\na\\:b:c\na\\ b c\n", map[string]string{"a=b": "c", " x": "y", "a:b": "c", "a b": "c"}},
	{"comments do not go on", "# x\n! y\n  # z\\\nq=1\n#\\\nw=2\n", map[string]string{"q": "1", "w": "2"}},
	{"continuations", "a=1\\\n   2\\\n\n3\nb=x\\\\\nc=y\\\\\\\n z\n", map[string]string{"a": "12", "3": "", "b": `x\`, "c": `y\z`}},
	{"escapes", `a=\u0041\u00e9\uD83D\uDE00\t\n\r\f\q` + "\n", map[string]string{"a": "Aé😀\t\n\r\fq"}},
	{"hexadecimal digits of both cases", `a=\U0041\u00E9` + "\n", map[string]string{"a": "U0041é"}},
	{"half a surrogate pair", `x=\uD83D y` + "\n", map[string]string{"x": "\uFFFD y"}},
	{"backslash at the end", `a=b\`, map[string]string{"a": "b"}},
	{"backslash and an empty last line", "a=\\\n", map[string]string{"a": ""}},
	{"key and backslash", `a\`, map[string]string{"a": ""}},
	{"line ends", "a=b\rc=d\r\ne=f", map[string]string{"a": "b", "c": "d", "e": "f"}},
	{"continuation over all line ends", "a=b\\\r\n c\\\r d\n", map[string]string{"a": "bcd"}},
	{"continuation by empty lines", "a=b \\\n\n\n c=d\n", map[string]string{"a": "b ", "c": "d"}},
	{"continuation that looks like a comment", "a=\\\n#b\nc=\\\n\\\n d\n", map[string]string{"a": "#b", "c": "d"}},
	{"continuation of nothing", "\\\na=b\n", map[string]string{"a": "b"}},
	{"ISO-8859-1", "k=\xc3\xa9\xff\n", map[string]string{"k": "Ã©ÿ"}},
	{"empty key", "=v\n:w\n", map[string]string{"": "w"}},
	{"only one separator counts", "a==b\na2=:b\na3:=b\na4 = = b\n", map[string]string{"a": "=b", "a2": ":b", "a3": "=b", "a4": "= b"}},
	{"the last one wins", "a=1\na=2\n", map[string]string{"a": "2"}},
	{"form feed", "a\fb\n\f\fc=d\n", map[string]string{"a": "b", "c": "d"}},
	{"escaped comment signs", "\\u0023a=b\n\\#c=d\n", map[string]string{"#a": "b", "#c": "d"}},
	{"NUL", "a=b\x00c\n", map[string]string{"a": "b\x00c"}},
	{"nothing", "", map[string]string{}},
}

func TestParseProperties(t *testing.T) {
	for _, test := range propertiesCases {
		got, err := ParseProperties([]byte(test.in))
		if err != nil || !maps.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	for _, bad := range []string{`a=\u00g1`, `a=\u12`, `a=\u004`, `\u=b`, "a=\\u00\x101"} {
		if got, err := ParseProperties([]byte(bad)); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

// FuzzParseProperties writes back what it read, everything escaped, and must read the same again.
func FuzzParseProperties(f *testing.F) {
	for _, test := range propertiesCases {
		f.Add([]byte(test.in))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := ParseProperties(data)
		if err != nil {
			return
		}
		var b strings.Builder
		for key, val := range props {
			b.WriteString(escape(key) + "=" + escape(val) + "\n")
		}
		again, err := ParseProperties([]byte(b.String()))
		if err != nil || !maps.Equal(props, again) {
			t.Fatalf("%q became %q, %v", props, again, err)
		}
	})
}

// escape writes every character as \uXXXX.
func escape(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, r := range s {
		units := []rune{r}
		if r > 0xffff {
			r -= 0x10000
			units = []rune{0xd800 + r>>10, 0xdc00 + r&0x3ff}
		}
		for _, u := range units {
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(digits[u>>shift&15])
			}
		}
	}
	return b.String()
}
