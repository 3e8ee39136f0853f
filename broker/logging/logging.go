// Package logging writes log4j-style lines through log/slog. Loggers have Kafka's names and log4j's hierarchy: a
// logger without a level of its own has that of its nearest ancestor (a.b is one of a.b.c), and root is everyone's.
// Levels can be changed while the broker runs; they are what the resource BROKER_LOGGER shows.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// The levels that log4j has and slog has not.
const (
	LevelTrace = slog.Level(-8)
	LevelFatal = slog.Level(12)
	levelOff   = slog.Level(math.MaxInt16)
)

// Root is the name of the logger at the top.
const Root = "root"

// Registry hands out loggers by Kafka's logger names ("kafka.server.KafkaServer", "state.change.logger") and keeps
// their levels. It is safe for concurrent use.
type Registry struct {
	out *output

	mu      sync.Mutex
	root    slog.Level
	own     map[string]slog.Level // levels that were set, by logger name
	loggers map[string]*logger    // every logger that was asked for or given a level
}

// logger is one name. level is the level in force, its own or inherited.
type logger struct {
	level atomic.Int64
	slog  *slog.Logger
}

// New makes a registry that writes lines "[2026-01-02 03:04:05,678] INFO message (kafka.server.KafkaServer)" to w,
// each with one Write, and whose root logger has the given level.
func New(w io.Writer, root slog.Level) *Registry {
	return &Registry{out: &output{w: w}, root: root, own: make(map[string]slog.Level), loggers: make(map[string]*logger)}
}

// Logger returns the logger of a name, always the same one. Attributes are appended to the message as " key=value".
func (r *Registry) Logger(name string) *slog.Logger {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loggerLocked(name).slog
}

func (r *Registry) loggerLocked(name string) *logger {
	if l, ok := r.loggers[name]; ok {
		return l
	}
	l := &logger{}
	l.slog = slog.New(&handler{out: r.out, name: name, level: &l.level})
	l.level.Store(int64(r.effectiveLocked(name)))
	r.loggers[name] = l
	return l
}

// effectiveLocked walks from a logger to the root until a level is set.
func (r *Registry) effectiveLocked(name string) slog.Level {
	for {
		if level, ok := r.own[name]; ok {
			return level
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return r.root
		}
		name = name[:dot]
	}
}

// applyLocked brings the levels in force up to date after one was set.
func (r *Registry) applyLocked() {
	for name, l := range r.loggers {
		l.level.Store(int64(r.effectiveLocked(name)))
	}
}

// Levels lists the loggers that exist with the names of their levels in force, and "root".
func (r *Registry) Levels() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	levels := map[string]string{Root: levelName(r.root)}
	for name, l := range r.loggers {
		levels[name] = levelName(slog.Level(l.level.Load()))
	}
	return levels
}

// ErrRootLevel answers an attempt to unset the root logger's level. Kafka answers INVALID_REQUEST to it, and
// INVALID_CONFIG to the other errors of SetLevel and UnsetLevel.
var ErrRootLevel error = levelError("Removing the log level of the root logger is not allowed")

// levelError is worded as clients of Apache Kafka get it.
type levelError string

func (e levelError) Error() string { return string(e) }

// settable are the levels that a client may set (LogLevelConfig): OFF and ALL are not among them.
var settable = []string{"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"}

// SetLevel gives a logger that exists, or "root", one of the settable levels as its own.
func (r *Registry) SetLevel(name, level string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.existsLocked(name); err != nil {
		return err
	}
	if !slices.Contains(settable, level) {
		return levelError("Cannot set the log level of " + name + " to " + level +
			" as it is not a supported log level. Valid log levels are " + strings.Join(settable, ", "))
	}
	l, _ := parseLevel(level)
	r.setLocked(name, l)
	return nil
}

// UnsetLevel makes a logger inherit its level again.
func (r *Registry) UnsetLevel(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == Root {
		return ErrRootLevel
	}
	if err := r.existsLocked(name); err != nil {
		return err
	}
	delete(r.own, name)
	r.applyLocked()
	return nil
}

func (r *Registry) existsLocked(name string) error {
	if _, ok := r.loggers[name]; !ok && name != Root {
		return levelError("Logger " + name + " does not exist!")
	}
	return nil
}

func (r *Registry) setLocked(name string, level slog.Level) {
	if name == Root {
		r.root = level
	} else {
		r.own[name] = level
	}
	r.applyLocked()
}

// Configure sets levels before loggers exist, as a log4j.properties file would: root is a level name, or "" to leave
// the root as it is; loggers is "name=LEVEL,name=LEVEL", and the names become loggers.
func (r *Registry) Configure(root, loggers string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, entry := range strings.Split("root="+root+","+loggers, ",") {
		name, level, assigned := strings.Cut(strings.TrimSpace(entry), "=")
		name, level = strings.TrimSpace(name), strings.TrimSpace(level)
		if level == "" && (name == "" || name == Root) {
			continue
		}
		l, ok := parseLevel(level)
		if !assigned || name == "" || !ok {
			return fmt.Errorf("%q is no logger=LEVEL with a level of OFF, FATAL, ERROR, WARN, INFO, DEBUG, TRACE, ALL", entry)
		}
		if name != Root {
			r.loggerLocked(name)
		}
		r.setLocked(name, l)
	}
	return nil
}

func parseLevel(name string) (slog.Level, bool) {
	switch strings.ToUpper(name) {
	case "OFF":
		return levelOff, true
	case "FATAL":
		return LevelFatal, true
	case "ERROR":
		return slog.LevelError, true
	case "WARN":
		return slog.LevelWarn, true
	case "INFO":
		return slog.LevelInfo, true
	case "DEBUG":
		return slog.LevelDebug, true
	case "TRACE", "ALL":
		return LevelTrace, true
	default:
		return 0, false
	}
}

// levelName is the log4j level that a line of this level is written under.
func levelName(level slog.Level) string {
	switch {
	case level >= levelOff:
		return "OFF"
	case level >= LevelFatal:
		return "FATAL"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARN"
	case level >= slog.LevelInfo:
		return "INFO"
	case level >= slog.LevelDebug:
		return "DEBUG"
	default:
		return "TRACE"
	}
}
