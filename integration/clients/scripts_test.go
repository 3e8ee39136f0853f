package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gregor/integration/clients/ready"
)

// TestKafkaPython runs python/story.py in a virtual environment that the test makes, with the versions of python/requirements.txt.
func TestKafkaPython(t *testing.T) {
	venv := install(t, "python-venv", "python/requirements.txt", func(ctx context.Context, dir string) []*exec.Cmd {
		return []*exec.Cmd{
			exec.CommandContext(ctx, "python3", "-m", "venv", "--clear", dir),
			exec.CommandContext(ctx, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", "python/requirements.txt"),
		}
	})
	tellStory(t, []string{"none", "gzip", "snappy", "lz4", "zstd"}, filepath.Join(venv, "bin", "python"), "python/story.py")
}

// TestKafkaJS runs kafkajs/story.mjs with the packages of kafkajs/package-lock.json.
func TestKafkaJS(t *testing.T) {
	dir := install(t, "kafkajs", "kafkajs/package-lock.json", func(ctx context.Context, dir string) []*exec.Cmd {
		ci := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--silent")
		ci.Dir = dir
		return []*exec.Cmd{exec.CommandContext(ctx, "cp", "kafkajs/package.json", "kafkajs/package-lock.json", dir), ci}
	})
	// Modules are looked for beside the script, so it runs where they are.
	script := filepath.Join(dir, "story.mjs")
	text, err := os.ReadFile("kafkajs/story.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, text, 0o600); err != nil {
		t.Fatal(err)
	}
	tellStory(t, []string{"none", "gzip"}, "node", script)
}

// install prepares a folder in the user's cache by commands, once for each state of the file that says what is to be in it.
func install(t *testing.T, name, state string, commands func(ctx context.Context, dir string) []*exec.Cmd) string {
	t.Helper()
	want, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "gregor-clients", name)
	done := filepath.Join(dir, "installed")
	if have, err := os.ReadFile(done); err == nil && bytes.Equal(have, want) {
		return dir
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, c := range commands(ctx, dir) {
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c.Args, err, out)
		}
	}
	if err := os.WriteFile(done, want, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// facts are what a script found when it administered.
type facts struct {
	Errors    []string
	Committed int
	Retention string
	State     string
	Listed    bool
	GroupGone bool
	TopicGone bool
}

// tellStory runs a script against a fresh broker and checks what it reports.
func tellStory(t *testing.T, codecs []string, program, script string) {
	t.Helper()
	b := ready.Broker(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, script, b.Addr, strconv.Itoa(perCodec))
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, errs.String())
	}
	var told struct {
		Records [][5]any
		Acked   [][3]any // partition, offset and value of each record, as the producer was told; none: see errors
		Facts   facts
	}
	if err := json.Unmarshal(out.Bytes(), &told); err != nil {
		t.Fatalf("%s printed %q: %v", script, out.String(), err)
	}
	var all []received
	for _, r := range told.Records {
		partition, _ := r[0].(float64)
		offset, _ := r[1].(float64)
		k, _ := r[2].(string)
		v, _ := r[3].(string)
		codec, _ := r[4].(string)
		all = append(all, received{int32(partition), int64(offset), k, v, codec})
	}
	var acked map[string]place
	for _, a := range told.Acked {
		partition, _ := a[0].(float64)
		offset, _ := a[1].(float64)
		v, _ := a[2].(string)
		if acked == nil {
			acked = map[string]place{}
		}
		acked[v] = place{int32(partition), int64(offset)}
	}
	check(t, codecs, acked, all)
	f := told.Facts
	if len(f.Errors) > 0 || f.Committed != len(codecs)*perCodec || f.Retention != "3600000" || f.State != "Empty" || !f.Listed || !f.GroupGone || !f.TopicGone {
		t.Errorf("%s reports %+v", script, f)
	}
}
