package logging

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// output is where all handlers of a registry write. The mutex keeps lines whole.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// handler formats the lines of one logger. attrs are those of With, formatted once; prefix is that of WithGroup.
type handler struct {
	out    *output
	name   string
	level  *atomic.Int64
	attrs  string
	prefix string
}

// Enabled is the only thing that a log call below the level costs.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= h.level.Load()
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooledLine keeps a single huge line from staying in memory.
const maxPooledLine = 16 << 10

func (h *handler) Handle(_ context.Context, record slog.Record) error {
	buffer := buffers.Get().(*[]byte)
	line := append((*buffer)[:0], '[')
	line = record.Time.Local().AppendFormat(line, "2006-01-02 15:04:05,000")
	line = append(line, "] "...)
	line = append(line, levelName(record.Level)...)
	line = append(line, ' ')
	line = append(line, record.Message...)
	line = append(line, h.attrs...)
	record.Attrs(func(a slog.Attr) bool {
		line = appendAttr(line, h.prefix, a)
		return true
	})
	line = append(line, " ("...)
	line = append(line, h.name...)
	line = append(line, ")\n"...)

	h.out.mu.Lock()
	_, err := h.out.w.Write(line)
	h.out.mu.Unlock()
	if cap(line) <= maxPooledLine {
		*buffer = line
		buffers.Put(buffer)
	}
	return err
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	line := []byte(h.attrs)
	for _, a := range attrs {
		line = appendAttr(line, h.prefix, a)
	}
	with := *h
	with.attrs = string(line)
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix += name + "."
	return &with
}

// appendAttr appends " key=value", for a group once per member. Values that would not read as one word are quoted.
func appendAttr(line []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			line = appendAttr(line, prefix, member)
		}
		return line
	}
	if a.Equal(slog.Attr{}) {
		return line
	}
	line = append(line, ' ')
	line = append(line, prefix...)
	line = append(line, a.Key...)
	line = append(line, '=')
	text := v.String()
	if text == "" || strings.ContainsFunc(text, needsQuote) {
		return strconv.AppendQuote(line, text)
	}
	return append(line, text...)
}

func needsQuote(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }
