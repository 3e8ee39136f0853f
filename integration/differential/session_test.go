package differential

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerWait is how long a step waits for an answer that should come; muteWait for one that should not.
const (
	answerWait = 15 * time.Second
	muteWait   = 1500 * time.Millisecond
)

// transcript is everything one broker said in one scenario.
type transcript struct {
	entries map[string]entry
	order   []string
}

func (t *transcript) add(e entry) {
	label := e.label
	for n := 2; ; n++ {
		if _, twice := t.entries[e.label]; !twice {
			break
		}
		e.label = fmt.Sprintf("%s#%d", label, n)
	}
	t.entries[e.label] = e
	t.order = append(t.order, e.label)
}

// summary counts the steps by outcome, so that a scenario that tests nothing shows. With DIFF_DUMP it lists every step and its error codes.
func (t *transcript) summary() string {
	count := map[outcome]int{}
	fields := 0
	var dump strings.Builder
	for _, label := range t.order {
		e := t.entries[label]
		count[e.outcome]++
		fields += len(e.fields)
		if os.Getenv("DIFF_DUMP") == "" {
			continue
		}
		fmt.Fprintf(&dump, "\n%s: %s", label, e.outcome)
		for _, f := range slices.Sorted(maps.Keys(e.fields)) {
			if strings.HasSuffix(f, "ErrorCode") || f == "note" || os.Getenv("DIFF_DUMP") == "all" {
				fmt.Fprintf(&dump, " %s=%s", f, shorten(e.fields[f]))
			}
		}
	}
	return fmt.Sprintf("%d steps, %d fields, outcomes %v%s", len(t.order), fields, count, dump.String())
}

// session runs the steps of a scenario against one broker over one connection. Labels get the scenario's current prefix (see in).
type session struct {
	target  *target
	log     *transcript
	prefix  string
	records recordMask
	wait    time.Duration
	conn    *conn
}

func newSession(t *target) *session {
	return &session{target: t, log: &transcript{entries: map[string]entry{}}, wait: answerWait}
}

// in returns the same session, with more words before the label of each step and with options of its own.
func (s *session) in(format string, args ...any) *session {
	s.prefix = fmt.Sprintf(format, args...)
	return s
}

// masking sets what of fetched batches is compared from here on.
func (s *session) masking(m recordMask) *session {
	s.records = m
	return s
}

// another opens a second connection that writes to the same transcript.
func (s *session) another() *session {
	other := *s
	other.conn = nil
	return &other
}

func (s *session) close() {
	if s.conn != nil {
		s.conn.nc.Close()
		s.conn = nil
	}
}

// abort ends the scenario on this broker: later steps make no sense.
type abort struct{ reason string }

func (s *session) connection() *conn {
	if s.conn == nil {
		c, err := dial(s.target.addr)
		if err != nil {
			panic(abort{err.Error()})
		}
		s.conn = c
	}
	return s.conn
}

// pending is a request that is on its way.
type pending struct {
	s     *session
	label string
	req   kmsg.Request
	id    int32
	err   error
}

// start sends a request without waiting for its answer.
func (s *session) start(label string, req kmsg.Request) *pending {
	id, err := s.connection().send(req.Key(), req.GetVersion(), req.IsFlexible(), req.AppendTo(nil))
	return &pending{s, s.label(label), req, id, err}
}

func (s *session) label(label string) string {
	return strings.TrimSpace(s.prefix + " " + label)
}

// finish waits for the answer and writes it down; nil when there was none.
func (p *pending) finish() kmsg.Response {
	e, resp := p.result()
	p.s.log.add(e)
	return resp
}

func (p *pending) result() (entry, kmsg.Response) {
	e := entry{label: p.label, outcome: closed, fields: map[string]string{}}
	s := p.s
	if p.err != nil || s.conn == nil {
		s.close()
		return e, nil
	}
	id, after, o := s.conn.receive(s.wait)
	e.outcome = o
	if o != answered {
		s.close()
		return e, nil
	}
	resp, canonical, err := decode(p.req, after)
	if err != nil || id != p.id {
		e.outcome = garbled
		e.fields["garbled"] = fmt.Sprintf("correlation id %d for %d; %v; %x", id, p.id, err, after)
		s.close()
		return e, nil
	}
	f := flattener{replace: s.target.replacer, records: s.records, out: e.fields}
	f.message(resp)
	e.fields["canonical"] = fmt.Sprint(canonical)
	return e, resp
}

// do sends a request, waits for its answer and writes it down; nil when there was none.
func (s *session) do(label string, req kmsg.Request) kmsg.Response {
	return s.start(label, req).finish()
}

// quiet is do without writing anything down, for steps that only prepare.
func (s *session) quiet(req kmsg.Request) kmsg.Response {
	_, resp := s.start("", req).result()
	return resp
}

// doMute is do for a request that Kafka leaves unanswered.
func (s *session) doMute(label string, req kmsg.Request) kmsg.Response {
	defer func(w time.Duration) { s.wait = w }(s.wait)
	s.wait = muteWait
	return s.do(label, req)
}

// until repeats a request until ready accepts the answer, and writes only that one down.
func (s *session) until(label string, req kmsg.Request, ready func(kmsg.Response) bool) kmsg.Response {
	for deadline := time.Now().Add(20 * time.Second); ; {
		e, resp := s.start(label, req).result()
		done := resp != nil && ready(resp)
		if done || time.Now().After(deadline) {
			if !done {
				e.fields["never"] = "in 20 s"
			}
			s.log.add(e)
			return resp
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// note writes down a fact that is no answer.
func (s *session) note(label, value string) {
	s.log.add(entry{s.label(label), answered, map[string]string{"note": value}})
}

// raw sends a body as it stands under the header of key and version and writes down only what became of it and the error code-free length-free
// outcome: answers to malformed bodies are compared in full only where they decode.
func (s *session) raw(label string, like kmsg.Request, body []byte, wait time.Duration) {
	c := s.connection()
	id, err := c.send(like.Key(), like.GetVersion(), like.IsFlexible(), body)
	defer func(w time.Duration) { s.wait = w }(s.wait)
	s.wait = wait
	(&pending{s, s.label(label), like, id, err}).finish()
}

// run plays a scenario on one broker. A panic that is not an abort is our own bug and goes on.
func play(t *testing.T, tg *target, sc scenario) (log *transcript) {
	s := newSession(tg)
	log = s.log
	defer func() {
		s.close()
		if r := recover(); r != nil {
			a, ok := r.(abort)
			if !ok {
				panic(r)
			}
			s.log.add(entry{"aborted", closed, map[string]string{"reason": a.reason}})
			t.Logf("%s: %s aborted: %s", tg.name, sc.name, a.reason)
		}
	}()
	sc.run(s)
	return log
}
