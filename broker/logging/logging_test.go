package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLine(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, slog.LevelInfo)
	r.Logger("kafka.server.KafkaServer").Info("[KafkaServer id=0] started")
	want := regexp.MustCompile(`^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] INFO \[KafkaServer id=0\] started \(kafka\.server\.KafkaServer\)\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("line %q", out.String())
	}
}

func TestDateIsLocal(t *testing.T) {
	here := time.Local
	time.Local = time.FixedZone("away", 5*3600+45*60) // not what this machine has
	t.Cleanup(func() { time.Local = here })
	var out bytes.Buffer
	h := New(&out, slog.LevelInfo).Logger("x").Handler()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.Local)
	if err := h.Handle(context.Background(), slog.NewRecord(at.UTC(), LevelFatal, "gone", 0)); err != nil {
		t.Fatal(err)
	}
	if want := "[2026-01-02 03:04:05,678] FATAL gone (x)\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestAttributes(t *testing.T) {
	var out bytes.Buffer
	logger := New(&out, slog.LevelInfo).Logger("a").With("broker", 1).WithGroup("g").With("x", "y")
	logger.Warn("message", "n", 5, "text", "two words", "empty", "", "err", errors.New("no\nway"), slog.Group("h", "d", time.Second))
	if want := ` WARN message broker=1 g.x=y g.n=5 g.text="two words" g.empty="" g.err="no\nway" g.h.d=1s (a)` + "\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestLevelsInherit(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, slog.LevelInfo)
	lines := func() string {
		out.Reset()
		for _, name := range []string{"kafka.controller", "kafka.controller.KafkaController", "kafka.controllers", "other"} {
			logger := r.Logger(name)
			logger.Log(context.Background(), LevelTrace, "t")
			logger.Debug("d")
			logger.Info("i")
			logger.Error("e")
		}
		text := regexp.MustCompile(`(?m)^\[[^]]*\] [A-Z]+ (.) \(([^)]*)\)$`).ReplaceAllString(out.String(), "$1:$2")
		return strings.Join(strings.Fields(text), " ")
	}
	expect := func(when, want string) {
		t.Helper()
		if got := lines(); got != want {
			t.Errorf("%s: %s\nwant %s", when, got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	expect("at first", "i:kafka.controller e:kafka.controller i:kafka.controller.KafkaController e:kafka.controller.KafkaController i:kafka.controllers e:kafka.controllers i:other e:other")
	must(r.SetLevel("kafka.controller", "TRACE"))
	must(r.SetLevel("root", "ERROR"))
	expect("a branch opened, the root closed", "t:kafka.controller d:kafka.controller i:kafka.controller e:kafka.controller "+
		"t:kafka.controller.KafkaController d:kafka.controller.KafkaController i:kafka.controller.KafkaController e:kafka.controller.KafkaController e:kafka.controllers e:other")
	must(r.SetLevel("kafka.controller.KafkaController", "FATAL"))
	must(r.UnsetLevel("kafka.controller"))
	expect("a leaf closed, the branch given back", "e:kafka.controller e:kafka.controllers e:other")

	want := map[string]string{"root": "ERROR", "kafka.controller": "ERROR", "kafka.controller.KafkaController": "FATAL", "kafka.controllers": "ERROR", "other": "ERROR"}
	if got := r.Levels(); !maps.Equal(got, want) {
		t.Errorf("levels %v, want %v", got, want)
	}
}

// The messages are those of a running Apache Kafka 3.9.2.
func TestLevelErrors(t *testing.T) {
	r := New(&bytes.Buffer{}, slog.LevelInfo)
	r.Logger("kafka.server.KafkaServer")
	for _, test := range []struct {
		err  error
		want string
	}{
		{r.SetLevel("kafka", "DEBUG"), "Logger kafka does not exist!"},
		{r.UnsetLevel("foo"), "Logger foo does not exist!"},
		{r.SetLevel("kafka.server.KafkaServer", "debug"), "Cannot set the log level of kafka.server.KafkaServer to debug as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{r.SetLevel("kafka.server.KafkaServer", "OFF"), "Cannot set the log level of kafka.server.KafkaServer to OFF as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{r.SetLevel("root", "ALL"), "Cannot set the log level of root to ALL as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{r.UnsetLevel("root"), "Removing the log level of the root logger is not allowed"},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
	if !errors.Is(r.UnsetLevel("root"), ErrRootLevel) {
		t.Error("the root's error is not ErrRootLevel")
	}
	if want := map[string]string{"root": "INFO", "kafka.server.KafkaServer": "INFO"}; !maps.Equal(r.Levels(), want) {
		t.Errorf("levels changed: %v", r.Levels())
	}
}

func TestConfigure(t *testing.T) {
	r := New(&bytes.Buffer{}, slog.LevelInfo)
	if err := r.Configure("warn", " kafka.controller=DEBUG, state.change.logger=OFF,"); err != nil {
		t.Fatal(err)
	}
	r.Logger("kafka.controller.KafkaController")
	want := map[string]string{"root": "WARN", "kafka.controller": "DEBUG", "state.change.logger": "OFF", "kafka.controller.KafkaController": "DEBUG"}
	if got := r.Levels(); !maps.Equal(got, want) {
		t.Errorf("levels %v, want %v", got, want)
	}
	if err := r.Configure("", ""); err != nil || r.Levels()["root"] != "WARN" {
		t.Errorf("nothing changed something: %v, %v", r.Levels(), err)
	}
	for _, bad := range [][2]string{{"LOUD", ""}, {"", "kafka"}, {"", "kafka=LOUD"}, {"", "=INFO"}} {
		if err := r.Configure(bad[0], bad[1]); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// oneWrite counts writes and remembers whether each was a whole line.
type oneWrite struct {
	writes int
	broken int
}

func (w *oneWrite) Write(p []byte) (int, error) {
	w.writes++
	if bytes.Count(p, []byte("\n")) != 1 || p[len(p)-1] != '\n' {
		w.broken++
	}
	return len(p), nil
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	w := &oneWrite{}
	r := New(w, slog.LevelInfo)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				r.Logger(fmt.Sprint("logger.", j%5)).Info("message", "i", i, "j", j)
				if err := r.SetLevel("root", []string{"INFO", "DEBUG"}[j%2]); err != nil {
					t.Error(err)
				}
				r.Levels()
			}
		})
	}
	group.Wait()
	if w.writes != 400 || w.broken != 0 {
		t.Errorf("%d writes, %d of them not one line", w.writes, w.broken)
	}
}

func TestDisabledLevelsDoNotAllocate(t *testing.T) {
	logger := New(&bytes.Buffer{}, slog.LevelInfo).Logger("a.b.c")
	if n := testing.AllocsPerRun(100, func() { logger.Debug("message", "key", "value") }); n != 0 {
		t.Errorf("%v allocations for a disabled level", n)
	}
}

func TestDeclaredLoggersExist(t *testing.T) {
	r := New(&bytes.Buffer{}, slog.LevelWarn)
	r.Declare(BrokerLoggers...)
	for _, name := range BrokerLoggers {
		if err := r.SetLevel(name, "DEBUG"); err != nil {
			t.Error(err)
		}
	}
	levels := r.Levels()
	if levels["kafka.server.KafkaApis"] != "DEBUG" || len(levels) != len(BrokerLoggers)+1 {
		t.Errorf("levels %v", levels)
	}
}
