package config

import (
	"errors"
	"strings"
	"unicode/utf16"
)

var errUnicodeEscape = errors.New("malformed \\uxxxx encoding: four hexadecimal digits have to follow \\u")

// ParseProperties reads the .properties format of java.util.Properties.load: ISO-8859-1 bytes; a key ends at the
// first unescaped =, : or blank; # and ! start a comment line; a line that ends in an odd number of backslashes goes on
// in the next one, whose leading blanks do not count; \t \n \r \f \uXXXX are escapes and any other escaped character
// is itself. The last of several equal keys wins.
func ParseProperties(data []byte) (map[string]string, error) {
	props := make(map[string]string)
	for rest := data; len(rest) > 0; {
		var line []byte
		line, rest = logicalLine(rest)
		if len(line) == 0 {
			continue
		}
		rawKey, rawValue := splitProperty(line)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, err
		}
		if props[key], err = unescape(rawValue); err != nil {
			return nil, err
		}
	}
	return props, nil
}

// logicalLine takes the next property off data, joined over its continuation lines and without leading blanks. It is
// empty for a comment or a blank line. Escapes other than the continuation stay.
func logicalLine(data []byte) (line, rest []byte) {
	first := true
	for {
		data = skipBlanks(data)
		natural, after := naturalLine(data)
		if first && len(natural) > 0 && (natural[0] == '#' || natural[0] == '!') {
			return nil, after
		}
		continued := trailingBackslashes(natural)%2 == 1
		if continued {
			natural = natural[:len(natural)-1]
		}
		if first && !continued {
			return natural, after
		}
		line = append(line, natural...)
		if !continued || len(after) == 0 {
			return line, after
		}
		first, data = false, after
	}
}

// naturalLine cuts data behind the next LF, CR or CRLF.
func naturalLine(data []byte) (line, rest []byte) {
	for i, c := range data {
		if c == '\n' {
			return data[:i], data[i+1:]
		}
		if c == '\r' {
			if i+1 < len(data) && data[i+1] == '\n' {
				return data[:i], data[i+2:]
			}
			return data[:i], data[i+1:]
		}
	}
	return data, nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }

func skipBlanks(data []byte) []byte {
	for len(data) > 0 && isBlank(data[0]) {
		data = data[1:]
	}
	return data
}

func trailingBackslashes(line []byte) int {
	n := 0
	for n < len(line) && line[len(line)-1-n] == '\\' {
		n++
	}
	return n
}

// splitProperty cuts a logical line behind its key; between key and value stand blanks and at most one = or :.
func splitProperty(line []byte) (key, val []byte) {
	end := 0
	for end < len(line) && line[end] != '=' && line[end] != ':' && !isBlank(line[end]) {
		if line[end] == '\\' && end+1 < len(line) {
			end++
		}
		end++
	}
	key, val = line[:end], skipBlanks(line[end:])
	if len(val) > 0 && (val[0] == '=' || val[0] == ':') {
		val = skipBlanks(val[1:])
	}
	return key, val
}

// unescape resolves escapes. \u escapes are UTF-16: two surrogates in a row make one character.
func unescape(raw []byte) (string, error) {
	units := make([]uint16, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			units = append(units, uint16(c))
			continue
		}
		i++
		if i == len(raw) {
			break
		}
		switch raw[i] {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			unit, ok := hexUnit(raw[i+1:])
			if !ok {
				return "", errUnicodeEscape
			}
			units = append(units, unit)
			i += 4
		default:
			units = append(units, uint16(raw[i]))
		}
	}
	return string(utf16.Decode(units)), nil
}

// hexUnit reads the four digits behind \u.
func hexUnit(digits []byte) (uint16, bool) {
	if len(digits) < 4 {
		return 0, false
	}
	var unit uint16
	for _, c := range digits[:4] {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		unit = unit<<4 | uint16(digit)
	}
	return unit, true
}
