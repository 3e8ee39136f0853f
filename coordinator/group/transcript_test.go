package group

import (
	"cmp"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gregor/protocol"
)

var update = flag.Bool("update", false, "write the transcripts anew from what the state machine does; then read the diff")

// TestTranscripts plays scripts to the state machine. A script is a list of commands (see player), each followed by ---- and
// what the group did: its answers, its writes and its log lines.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: the group did otherwise.\n%s", file, firstDifference(got, string(want)))
			}
		})
	}
}

// play runs a script and returns it with the outputs that came out.
func play(t *testing.T, script string) string {
	p := newPlayer(t)
	var b strings.Builder
	lines := strings.Split(script, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" && i == len(lines)-1 {
			break
		}
		b.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for i+1 < len(lines) && lines[i+1] != "" && !strings.HasPrefix(lines[i+1], "#") { // the old output
			i++
		}
		b.WriteString("----\n")
		for _, out := range p.run(line) {
			b.WriteString(out + "\n")
		}
	}
	return b.String()
}

// player holds a group with small limits: initial delay 3 s, 3 members, metadata of 10 units, retention 100 s.
type player struct {
	t      *testing.T
	g      *group
	now    int64
	nextID int
	writes []*write
	names  map[any]string // of waiters
}

func newPlayer(t *testing.T) *player {
	r := &rules{offsetValueVersion: offsetValueVersion, groupValueVersion: groupValueVersion, initialRebalanceDelayMs: 3000, maxSize: 3, offsetMetadataMax: 10, offsetsRetentionMs: 100_000}
	return &player{t: t, g: newGroup("g", 7, r, 0), names: map[any]string{}}
}

// command is a line of a script: a verb, words and key=value pairs.
type command struct {
	verb  string
	words []string
	args  map[string]string
}

func parseCommand(line string) command {
	c := command{args: map[string]string{}}
	for _, f := range strings.Fields(line) {
		key, value, pair := strings.Cut(f, "=")
		switch {
		case c.verb == "":
			c.verb = f
		case pair:
			c.args[key] = value
		default:
			c.words = append(c.words, f)
		}
	}
	return c
}

func (c command) num(key string, def int) int {
	if s, ok := c.args[key]; ok {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(err)
		}
		return n
	}
	return def
}

func (c command) opt(key string) *string {
	if s, ok := c.args[key]; ok {
		return &s
	}
	return nil
}

func (p *player) run(line string) (lines []string) {
	c := parseCommand(line)
	var out effects
	switch c.verb {
	case "at": // at SECONDS: time passes
		s, err := strconv.ParseFloat(c.words[0], 64)
		if err != nil {
			p.t.Fatal(err)
		}
		p.now = int64(s * 1000)
	case "join": // join NAME [id= instance= v= session= rebalance= type= protocols=name:meta,… reason=]
		p.g.join(p.joinEvent(c), p.now, &out)
	case "sync": // sync ID gen= [instance= type= protocol= assign=id:part,…]
		e := &syncEvent{memberID: c.words[0], instanceID: c.opt("instance"), generation: int32(c.num("gen", 1)),
			protocolType: c.opt("type"), protocol: c.opt("protocol"), assignment: map[string][]byte{}, to: newWaiter[syncAnswer]()}
		for _, a := range list(c.args["assign"]) {
			id, part, _ := strings.Cut(a, ":")
			e.assignment[id] = []byte(part)
		}
		p.names[e.to] = c.words[0]
		p.g.sync(e, p.now, &out)
	case "heartbeat": // heartbeat ID gen= [instance=]
		code := p.g.heartbeat(c.words[0], c.opt("instance"), int32(c.num("gen", 1)), p.now, &out)
		lines = append(lines, code.String())
	case "leave": // leave [ID] [instance=]
		code := p.g.leave(strings.Join(c.words, ""), c.opt("instance"), c.args["reason"], p.now, &out)
		lines = append(lines, code.String())
	case "commit": // commit [ID] gen= PARTITION=OFFSET… [expire=]
		p.g.commit(p.commitEvent(c), p.now, &out)
	case "write": // write CODE: the oldest write that waits ends so
		w := p.writes[0]
		p.writes = p.writes[1:]
		w.done(p.g, p.now, codeOf(p.t, c.words[0]), &out)
	case "expire": // the retention check
		lines = append(lines, fmt.Sprint(p.g.removeExpired(p.now, &out), " offsets"))
	case "drop": // drop PARTITION…: their topics were deleted
		var tps []protocol.TopicPartition
		for _, w := range c.words {
			tps = append(tps, parseTP(w))
		}
		lines = append(lines, fmt.Sprint(p.g.removeOffsets(tps, &out), " offsets"))
	case "delete":
		n, code := p.g.delete(&out)
		lines = append(lines, fmt.Sprintf("%s, %d offsets", code, n))
	case "unload":
		p.g.unload(&out)
	case "show":
		return p.show()
	default:
		p.t.Fatalf("no command %q", c.verb)
	}
	p.g.settle(p.now, &out)
	p.check()
	return append(lines, p.effects(&out)...)
}

func (p *player) joinEvent(c command) *joinEvent {
	p.nextID++
	name, v := c.words[0], c.num("v", 9)
	e := &joinEvent{
		memberID: c.args["id"], newMemberID: fmt.Sprint(name, p.nextID), instanceID: c.opt("instance"),
		clientID: "client", clientHost: "/127.0.0.1", rebalanceTimeoutMs: int32(c.num("rebalance", 30_000)),
		sessionTimeoutMs: int32(c.num("session", 10_000)), protocolType: "consumer", reason: c.args["reason"],
		requireKnownMemberID: v >= 4 && c.opt("instance") == nil, maySkipAssignment: v >= 9, to: newWaiter[joinAnswer](),
	}
	if pt, ok := c.args["type"]; ok {
		e.protocolType = pt
	}
	protocols := "range:t"
	if s, ok := c.args["protocols"]; ok {
		protocols = s
	}
	for _, s := range list(protocols) {
		proto, topic, _ := strings.Cut(s, ":")
		e.protocols = append(e.protocols, memberProtocol{proto, subscriptionOf(topic)})
	}
	p.names[e.to] = name
	return e
}

func (p *player) commitEvent(c command) *commitEvent {
	e := &commitEvent{memberID: strings.Join(c.words, ""), instanceID: c.opt("instance"), generation: int32(c.num("gen", -1)), to: newWaiter[protocol.ErrorCode]()}
	for key, value := range c.args {
		if !strings.Contains(key, "-") {
			continue
		}
		o, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		e.offsets = append(e.offsets, partitionOffset{parseTP(key), committed{offset: o, leaderEpoch: -1, commitTime: p.now, expireTime: int64(c.num("expire", noTime))}})
	}
	slices.SortFunc(e.offsets, func(a, b partitionOffset) int { return cmp.Compare(a.tp.String(), b.tp.String()) })
	p.names[e.to] = "commit"
	return e
}

// check looks after what must hold after every event.
func (p *player) check() {
	waiting, deadline := 0, int64(never)
	for id, m := range p.g.members {
		if m.id != id {
			p.t.Errorf("member %s stands under %s", m.id, id)
		}
		if m.joinWaiter != nil {
			waiting++
		}
		if m.instanceID != nil && p.g.static[*m.instanceID] != id {
			p.t.Errorf("instance %s of %s belongs to %s", *m.instanceID, id, p.g.static[*m.instanceID])
		}
		deadline = min(deadline, m.deadline)
	}
	if waiting != p.g.awaitingJoin {
		p.t.Errorf("%d members wait, counted %d", waiting, p.g.awaitingJoin)
	}
	if !p.g.is(Dead) && p.g.wake > min(deadline, p.g.nextDeadline()) {
		p.t.Errorf("wakes at %d, due at %d", p.g.wake, p.g.nextDeadline())
	}
}

func (p *player) effects(out *effects) (lines []string) {
	for _, l := range out.logs {
		prefix := ""
		if l.level != slog.LevelInfo {
			prefix = l.level.String() + " "
		}
		lines = append(lines, "| "+prefix+l.text)
	}
	for _, r := range out.joins {
		lines = append(lines, p.names[r.to]+" <- "+joinText(r.answer))
	}
	for _, r := range out.syncs {
		text := r.answer.code.String()
		if r.answer.code == protocol.None {
			text = fmt.Sprintf("%s/%s %q", *r.answer.protocolType, *r.answer.protocol, r.answer.assignment)
		}
		lines = append(lines, p.names[r.to]+" <- "+text)
	}
	for _, r := range out.commits {
		lines = append(lines, p.names[r.to]+" <- "+r.code.String())
	}
	for _, w := range out.writes {
		for _, kv := range w.records {
			lines = append(lines, "write "+recordText(p.t, kv))
		}
	}
	if out.removed {
		lines = append(lines, "removed")
	}
	p.writes = append(p.writes, out.writes...)
	return lines
}

func joinText(a joinAnswer) string {
	if a.code != protocol.None {
		return fmt.Sprintf("%s member=%q gen=%d leader=%q", a.code, a.memberID, a.generation, a.leader)
	}
	text := fmt.Sprintf("gen=%d %s/%s member=%s leader=%s", a.generation, *a.protocolType, *a.protocol, a.memberID, a.leader)
	if a.skipAssignment {
		text += " skip"
	}
	for _, m := range a.members {
		text += " [" + m.id
		if m.instanceID != nil {
			text += " instance=" + *m.instanceID
		}
		topics, _ := subscriptionTopics(m.metadata)
		text += " " + strings.Join(topics, ",") + "]"
	}
	return text
}

func (p *player) show() []string {
	g := p.g
	lines := []string{fmt.Sprintf("%s gen=%d type=%q leader=%q members=%d waiting=%d pending=%d", g.state, g.generation, g.protocolType, g.leader, len(g.members), g.awaitingJoin, len(g.pending))}
	for _, m := range g.ordered() {
		line := fmt.Sprintf("  %s %q", m.id, m.assignment)
		if m.instanceID != nil {
			line += " instance=" + *m.instanceID
		}
		lines = append(lines, line)
	}
	var offsets []string
	for tp, o := range g.offsets {
		offsets = append(offsets, fmt.Sprintf("  %s=%d", tp, o.offset))
	}
	slices.Sort(offsets)
	return append(lines, offsets...)
}

func recordText(t *testing.T, kv keyValue) string {
	key, err := decodeKey(kv.key)
	if err != nil {
		t.Fatal(err)
	}
	if key.kind == offsetRecord {
		if kv.value == nil {
			return key.tp.String() + " tombstone"
		}
		o, err := decodeOffset(kv.value)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s=%d", key.tp, o.offset)
	}
	if kv.value == nil {
		return "group tombstone"
	}
	g, err := decodeGroup(kv.value)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("group gen=%d leader=%q", g.generation, g.leader)
	for _, m := range g.members {
		text += fmt.Sprintf(" %s:%q", m.id, m.assignment)
	}
	return text
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func parseTP(s string) protocol.TopicPartition {
	i := strings.LastIndexByte(s, '-')
	n, err := strconv.Atoi(s[i+1:])
	if err != nil {
		panic(err)
	}
	return protocol.TopicPartition{Topic: s[:i], Partition: int32(n)}
}

// subscriptionOf is what a consumer sends that wants one topic.
func subscriptionOf(topic string) []byte {
	b := appendInt16(nil, 1)
	b = appendInt32(b, 1)
	b = appendString(b, topic)
	return appendInt32(b, -1)
}

func codeOf(t *testing.T, name string) protocol.ErrorCode {
	for code := protocol.ErrorCode(-1); code < 128; code++ {
		if code.String() == name {
			return code
		}
	}
	t.Fatalf("no error %q", name)
	return 0
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			old := "end"
			if i < len(w) {
				old = w[i]
			}
			return fmt.Sprintf("line %d:\n got: %s\nwant: %s", i+1, g[i], old)
		}
	}
	return "it did less"
}
