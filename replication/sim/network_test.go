package sim

// exchange is one request and its answer on a connection of its own kind: a connection carries one request at a time, so requests of one
// connection keep their order, and those of different ones do not. A request whose connection breaks may be carried out all the same.
type exchange struct {
	from, to *node
	life     int // of to, whose sockets nobody else reads
	what     string
	inOrder  bool // the requests of a broken connection are never carried out after those of the next one
	done     func(answer any, ok bool)
	over     bool
}

// requestTimeout is when a requester gives a connection up.
const requestTimeout = 300

// ask sends a request: serve runs in to's process and answers, now or later; then done runs in from's process, ok false when no answer came.
func (w *world) ask(from, to *node, what string, serve func(answer func(any)), done func(answer any, ok bool)) *exchange {
	x := &exchange{from: from, to: to, life: to.life, what: what, done: done}
	w.exchanges = append(w.exchanges, x)
	w.plan(requestTimeout, from, func() { x.fail("timed out") })
	w.carry(from, to, x, w.latency(), func() {
		switch {
		case !x.over:
			x.serve(serve)
		case x.inOrder || w.oneIn(2):
			// It had not left, or the socket's buffer went with the connection.
		default:
			w.in(w.between(0, 300), func() { x.serve(serve) }) // its reader was slow
		}
	})
	return x
}

func (x *exchange) serve(serve func(answer func(any))) {
	if !x.to.running || x.to.life != x.life {
		return
	}
	w := x.from.world
	w.plan(0, x.to, func() {
		x.to.whenServing(func() {
			serve(func(answer any) {
				w.carry(x.to, x.from, x, w.latency(), func() { x.finish(answer, true) })
			})
		})
	})
}

// carry brings a message from one process into another. Where the way is cut it is sent again and again, as TCP does.
func (w *world) carry(from, to *node, x *exchange, delay int64, arrived func()) {
	w.plan(delay, to, func() {
		switch {
		case !w.cut[[2]int32{from.id, to.id}]:
			arrived()
		case x.over:
		default:
			w.carry(from, to, x, w.between(20, 60), arrived)
		}
	})
	if !to.running {
		w.plan(w.latency(), x.from, func() { x.fail("refused") })
	}
}

func (x *exchange) finish(answer any, ok bool) {
	if x.over {
		return
	}
	x.over = true
	x.from.world.forget(x)
	x.done(answer, ok)
}

func (x *exchange) fail(why string) {
	if !x.over {
		x.from.world.say("%d -> %d %s %s", x.from.id, x.to.id, x.what, why)
		x.finish(nil, false)
	}
}

func (w *world) forget(x *exchange) {
	for i, o := range w.exchanges {
		if o == x {
			last := len(w.exchanges) - 1
			w.exchanges[i] = w.exchanges[last]
			w.exchanges[last] = nil
			w.exchanges = w.exchanges[:last]
			return
		}
	}
}

// reset breaks the connections that a filter picks; both ends notice, the requester at once.
func (w *world) reset(picked func(*exchange) bool) {
	var hit []*exchange
	for _, x := range w.exchanges {
		if picked(x) {
			hit = append(hit, x)
		}
	}
	for _, x := range hit {
		w.plan(w.latency(), x.from, func() { x.fail("reset") })
	}
}
